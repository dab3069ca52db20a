# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Heat maps of a network: EigenCAM (Muhammad and Yeasin, 2020, arXiv:2008.00299).

A pyramid level is one feature vector per cell. The heat is the projection of these vectors on
their first principal component: cells that differ from the rest of the image, with or without a
box. An object without heat has no features; one with heat and no box has features but no class.
Gradient-based maps show only the cells of the boxes, so they add little to the boxes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path

import cv2
from lite_detector.core.draw import draw_detections
from lite_detector.core.errors import ModelError
from lite_detector.core.geometry import Letterbox
from lite_detector.core.media import read_image, write_jpeg
from lite_detector.core.types import Detections, FloatArray, ImageArray, size_of
from lite_detector.data.pictures import arrange_cells, caption_cell, fit_cell
from lite_detector.detector import Detector
from lite_detector.train.torch_backend import TorchBackend
import numpy as np
import torch
from torch import nn, Tensor
from torch.nn import functional

HEAT_MAPS = 6
"""Number of heat maps on a sheet."""
LEVELS_COME_OUT_OF = ('neck', 'pan', 'encoder', 'backbone')
"""Parts of a network; the output of the first existing one is the input of the heads."""
OPACITY = 0.55
TINY = 1e-6


def write_heat_maps(path: Path, detector: Detector, worst: Sequence[Path], best: Sequence[Path],
                    score_threshold: float) -> None:
    """
    Write a sheet of images with detections, each next to its heat map; worst left, best right.

    :param path: Output image file.
    :param detector: Detector of a checkpoint.
    :param worst: Paths of the images with the worst results.
    :param best: Paths of the images with the best results.
    :param score_threshold: Minimum score of the drawn boxes.
    :raises DataError: if the sheet cannot be written.
    :raises LiteDetectorError: if an image cannot be read, or the network has no known parts.
    """
    cells = []
    for pair in zip_longest(worst, best):
        for image_path, word in zip(pair, ('worst', 'best'), strict=True):
            if image_path is None:
                cells += [caption_cell('')] * 2
                continue
            image_bgr = read_image(image_path)
            heat, detections = heat_map(detector, image_bgr)
            shown = detections.select(detections.scores >= score_threshold)
            found = draw_detections(image_bgr, shown, detector.card.class_names)
            cells += [caption_cell(f'{word}: {image_path.name}', fit_cell(found)),
                      caption_cell('features that stand out',
                                   fit_cell(overlay_heat(image_bgr, heat)))]
    write_jpeg(path, arrange_cells(cells))


def heat_map(detector: Detector, image_bgr: ImageArray) -> tuple[FloatArray, Detections]:
    """
    Return the heat map and the detections of an image.

    :param detector: Detector of a checkpoint.
    :param image_bgr: BGR image, uint8, shape (height, width, 3).
    :return: Heat of each pixel of the image in [0, 1], float32, shape (height, width); and the
        detections.
    :raises ModelError: if the network is not one of torch, or has no known parts.
    """
    if not isinstance(detector.backend, TorchBackend):
        raise ModelError(f'{detector.card.name}: heat maps need a checkpoint (.pt)')
    with _levels_of(detector.backend.model, detector.card.name) as levels:
        detections = detector.detect(image_bgr)
    heat = eigen_cam(levels, detector.fit(image_bgr))
    size = size_of(image_bgr)
    return cv2.resize(heat, (size.width, size.height), interpolation=cv2.INTER_LINEAR), detections


@torch.inference_mode()
def eigen_cam(levels: Sequence[Tensor], fit: Letterbox) -> FloatArray:
    """
    Return the mean heat of pyramid levels, each scaled to [0, 1] by its maximum.

    :param levels: Feature maps, shape (1, channels, h, w) each.
    :param fit: Position of the image in the network input; padding is left out, because it would
        dominate the heat.
    :return: Heat in [0, 1], float32, shape (height, width) of the image in the input; 0 if all
        cells are equal.
    """
    image = torch.zeros(1, 1, *fit.input_size)
    rows = slice(fit.top, fit.top + fit.resized_size.height)
    columns = slice(fit.left, fit.left + fit.resized_size.width)
    image[..., rows, columns] = 1
    heat = torch.zeros_like(image)
    for level in levels:
        features = level[0].float().cpu()
        _, height, width = features.shape
        share = functional.adaptive_avg_pool2d(image, (height, width))[0, 0]
        part = _first_component(features, share >= min(0.5, float(share.max())))
        heat += functional.interpolate(part[None, None], image.shape[2:], mode='bilinear')
    inside = heat[0, 0, rows, columns]
    return (inside / inside.max().clamp(min=TINY)).numpy()


def overlay_heat(image_bgr: ImageArray, heat: FloatArray) -> ImageArray:
    """
    Draw heat over an image, blue (0) to red (1).

    :param image_bgr: BGR image, uint8, shape (height, width, 3).
    :param heat: Heat in [0, 1], shape (height, width).
    """
    colors = cv2.applyColorMap(np.rint(255 * heat).astype(np.uint8), cv2.COLORMAP_TURBO)
    return cv2.addWeighted(image_bgr, 1 - OPACITY, colors, OPACITY, 0)


def _first_component(features: Tensor, inside: Tensor) -> Tensor:
    """
    Project features on the first principal component of the cells inside.

    :param features: Feature map, shape (channels, h, w).
    :param inside: Cells of the image, bool, shape (h, w).
    :return: Heat in [0, 1], shape (h, w).
    """
    cells = features.permute(1, 2, 0)
    cells = cells - cells[inside].mean(dim=0)
    _, vectors = torch.linalg.eigh(cells[inside].T @ cells[inside])
    heat = cells @ vectors[:, -1]
    low, high = heat[inside].min(), heat[inside].max()
    # the sign of a component is arbitrary; objects are few, so theirs is the longer side
    if high < -low:
        heat, high = -heat, -low
    return (heat / high.clamp(min=TINY)).clamp(0, 1)


@contextmanager
def _levels_of(model: nn.Module, name: str) -> Iterator[list[Tensor]]:
    """Collect the inputs of the heads of a network while it runs."""
    parts = dict(model.named_children())
    part = next((parts[each] for each in LEVELS_COME_OUT_OF if each in parts), None)
    if part is None:
        raise ModelError(f'{name}: no heat map; expected a network with one of the parts '
                         + ', '.join(LEVELS_COME_OUT_OF))
    levels: list[Tensor] = []

    def keep(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor | list[Tensor]) -> None:
        levels[:] = [output] if isinstance(output, Tensor) else output
    hook = part.register_forward_hook(keep)
    try:
        yield levels
    finally:
        hook.remove()
