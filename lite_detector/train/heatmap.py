# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
What a network looks at: EigenCAM (Muhammad and Yeasin, 2020, arXiv:2008.00299).

A pyramid level is one vector of features per cell. What these vectors have in common is drawn as
heat: the cells that stand out from the rest of the image, whether a box came of it or not. An
object that stays cold was not seen; one that is hot and has no box was seen and not named. Maps
from gradients light up at the cells of the boxes alone, which tells little more than the boxes.
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
"""Images of which a sheet shows the heat."""
LEVELS_COME_OUT_OF = ('neck', 'pan', 'encoder', 'backbone')
"""Parts of a network; the first one that it has gives what its heads read."""
OPACITY = 0.55
TINY = 1e-6


def write_heat_maps(path: Path, detector: Detector, worst: Sequence[Path], best: Sequence[Path],
                    score_threshold: float) -> None:
    """
    Write a sheet: images with detections, each beside its heat; worst on the left, best right.

    :param path: a picture file.
    :param detector: of a checkpoint.
    :param worst: images on which it does badly.
    :param best: images on which it does well.
    :param score_threshold: of the boxes drawn.
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
                      caption_cell('what stands out to the network',
                                   fit_cell(overlay_heat(image_bgr, heat)))]
    write_jpeg(path, arrange_cells(cells))


def heat_map(detector: Detector, image_bgr: ImageArray) -> tuple[FloatArray, Detections]:
    """
    Detect, and look at what happens inside.

    :param detector: of a checkpoint.
    :param image_bgr: uint8, shape (height, width, 3).
    :return: heat of each pixel of the image in [0, 1], float32, shape (height, width); and the
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
    Return the mean heat of pyramid levels, each between 0 and its own hottest cell.

    :param levels: features, shape (1, channels, h, w) each.
    :param fit: where the image lies in the network input; padding, which stands out like nothing
        else, has no say.
    :return: in [0, 1], float32, shape (height, width) of the image in the input; 0 where no cell
        differs from another.
    """
    image = torch.zeros(1, 1, *fit.input_size)
    rows = slice(fit.top, fit.top + fit.resized_size.height)
    columns = slice(fit.left, fit.left + fit.resized_size.width)
    image[..., rows, columns] = 1
    heat = torch.zeros_like(image)
    for level in levels:
        features = level[0].float().cpu()
        share = functional.adaptive_avg_pool2d(image, features.shape[1:])[0, 0]
        part = _first_component(features, share >= min(0.5, float(share.max())))
        heat += functional.interpolate(part[None, None], image.shape[2:], mode='bilinear')
    inside = heat[0, 0, rows, columns]
    return (inside / inside.max().clamp(min=TINY)).numpy()


def overlay_heat(image_bgr: ImageArray, heat: FloatArray) -> ImageArray:
    """
    Lay heat over an image, blue (0) to red (1).

    :param image_bgr: uint8, shape (height, width, 3).
    :param heat: in [0, 1], shape (height, width).
    """
    colors = cv2.applyColorMap(np.rint(255 * heat).astype(np.uint8), cv2.COLORMAP_TURBO)
    return cv2.addWeighted(image_bgr, 1 - OPACITY, colors, OPACITY, 0)


def _first_component(features: Tensor, inside: Tensor) -> Tensor:
    """
    Project features on the first principal component of the cells inside.

    :param features: shape (channels, h, w).
    :param inside: cells of the image, bool, shape (h, w).
    :return: in [0, 1], shape (h, w).
    """
    cells = features.permute(1, 2, 0)
    cells = cells - cells[inside].mean(dim=0)
    _, vectors = torch.linalg.eigh(cells[inside].T @ cells[inside])
    heat = cells @ vectors[:, -1]
    low, high = heat[inside].min(), heat[inside].max()
    # a component has no sign; objects are few, so the side that goes further is theirs
    if high < -low:
        heat, high = -heat, -low
    return (heat / high.clamp(min=TINY)).clamp(0, 1)


@contextmanager
def _levels_of(model: nn.Module, name: str) -> Iterator[list[Tensor]]:
    """Collect what the heads of a network read while it runs."""
    parts = dict(model.named_children())
    part = next((parts[each] for each in LEVELS_COME_OUT_OF if each in parts), None)
    if part is None:
        raise ModelError(f'{name}: no heat map: the network has none of the parts '
                         + ', '.join(LEVELS_COME_OUT_OF))
    levels: list[Tensor] = []

    def keep(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor | list[Tensor]) -> None:
        levels[:] = [output] if isinstance(output, Tensor) else output
    hook = part.register_forward_hook(keep)
    try:
        yield levels
    finally:
        hook.remove()
