# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The detector: it combines preprocessing, inference, decoding and NMS for one image."""

from __future__ import annotations

from collections.abc import Sequence
import os
from pathlib import Path

import cv2
from lite_detector.backends.base import Backend, DeviceChoice, open_backend, Report
from lite_detector.core.config import from_mapping
from lite_detector.core.decode import DECODERS
from lite_detector.core.errors import ConfigError, ImageError, ModelError
from lite_detector.core.geometry import clip_boxes, Letterbox, rotate_boxes_back
from lite_detector.core.model_card import (
    checked_size,
    load_card,
    NetworkCard,
    PreprocessSpec,
    RECT_RESIZES,
    SizeSpec,
)
from lite_detector.core.nms import MAX_CANDIDATES, nms
from lite_detector.core.preprocess import blank_blob, BlobCache
from lite_detector.core.selection import margins, score_thresholds, Selection
from lite_detector.core.tiling import checked_view, Mask, merge_views, View, windows_of
from lite_detector.core.types import (
    Detections,
    FloatArray,
    ImageArray,
    ImageSize,
    MAX_SIDE,
    MIN_SIDE,
    size_of,
)
import msgspec
import numpy as np

CPU = DeviceChoice()
ROTATIONS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180,
             270: cv2.ROTATE_90_COUNTERCLOCKWISE}


class Detector:
    """
    A network with its complete pipeline from image to detections.

    A detector must be used by one thread only, because it reuses its input buffers. Attribute
    ``selection`` may be replaced at any time, also from another thread; the next image uses it.

    :param card: Card of the network.
    :param backend: Loaded network.
    :param selection: Thresholds and classes of the detections.
    :param input_size: Network input size; None: that of the card. Both sides are multiples of
        ``card.grid``.
    :param view: Region and tiles that the network runs on.
    :param device: Device of the network, for reports.
    :raises ConfigError: if a selected class is not in the card, or the view is invalid.
    :raises ImageError: if the mask of the view cannot be read.
    """

    def __init__(self, card: NetworkCard, backend: Backend, selection: Selection = Selection(),
                 input_size: ImageSize | None = None, view: View = View(),
                 device: DeviceChoice = CPU) -> None:
        self.card = card
        self.device = device
        self.backend = backend
        self.input_size = _checked_size(input_size or card.size, card)
        self.selection = selection
        self.view = checked_view(view)
        self._mask = Mask(Path(os.path.expanduser(view.mask))) if view.mask else None
        self._blobs = BlobCache(card.preprocess)

    @classmethod
    def from_folder(cls, folder: Path, *, runtime: str = 'ncnn', num_threads: int = 1,
                    precision: str = 'auto', input_size: ImageSize | None = None,
                    resize: str | None = None, selection: Selection = Selection(),
                    view: View = View(), device: str = 'cpu',
                    report: Report = lambda line: None) -> Detector:
        """
        Load a model folder and run it once, so that an invalid card raises an error here.

        :param folder: Path of the folder with ``card.yaml`` and weights.
        :param runtime: Runtime: ncnn or onnx.
        :param num_threads: Number of threads per inference.
        :param precision: auto, fp32, bf16, int8, int8_auto or int8_bf16.
        :param input_size: Network input size; None: that of the card.
        :param resize: Resize mode, to measure its effect; None: that of the card.
        :param selection: Thresholds and classes of the detections.
        :param view: Region and tiles that the network runs on.
        :param device: cpu, gpu, gpu:N, auto (the fastest device that is exact enough), or with
            runtime onnx an execution provider: tensorrt, cuda, openvino or coreml.
        :param report: Callback for a line every ten seconds while a device prepares.
        :raises LiteDetectorError: if the folder, an option or the device is invalid.
        """
        card = load_card(folder)
        fitted = with_resize(card, resize)
        if device == 'cpu':
            backend, choice = open_backend(card, folder, runtime, num_threads, precision), CPU
        else:
            from lite_detector.backends.devices import open_on_device  # starts processes
            backend, choice = open_on_device(card, folder, runtime, num_threads, precision, device,
                                             input_size, fitted.preprocess.resize, report)
        detector = cls(fitted, backend, selection, input_size, view, choice)
        detector.warm_up()
        return detector

    @property
    def selection(self) -> Selection:
        """Thresholds and classes of the detections."""
        return self._selection[0]

    @selection.setter
    def selection(self, selection: Selection) -> None:
        from_mapping(msgspec.structs.asdict(selection), Selection, 'selection')  # check bounds
        # a single assignment, so that other threads never see a partial change
        self._selection = (selection, score_thresholds(selection, self.card))

    @property
    def score_thresholds(self) -> FloatArray:
        """Minimum score by class index, shape (classes,); infinity: class not selected."""
        return self._selection[1]

    def configured(self, selection: Selection, view: View) -> Detector:
        """
        Return a detector with other settings that shares the loaded network.

        :param selection: Thresholds and classes of the detections.
        :param view: Region and tiles that the network runs on.
        :raises LiteDetectorError: if a setting is invalid, see the constructor.
        """
        return Detector(self.card, self.backend, selection, self.input_size, view, self.device)

    def detect(self, image_bgr: ImageArray, turn: int = 0) -> Detections:
        """
        Detect objects in an image.

        :param image_bgr: BGR image, uint8, shape (height, width, 3), sides of 8 to 16384 pixels.
        :param turn: Index of the image in its video, used as round-robin index of the tiles.
        :return: Detections, best score first, boxes in pixels of this image and clipped to it.
        :raises ImageError: if the array is not such an image, or too small for the view.
        :raises ModelError: if the runtime fails.
        """
        if self.view == View():
            return self._look(image_bgr, self.selection.max_detections)
        size = _checked_image(image_bgr)
        windows = windows_of(size, self.view, turn)
        found = []
        angle = self.view.rotate
        for window in windows:
            part = window.cut(image_bgr)
            if angle:
                part = cv2.rotate(part, ROTATIONS[angle])
            seen = self._look(part, MAX_CANDIDATES // len(windows))
            boxes = rotate_boxes_back(seen.boxes_xyxy, angle, window.size)
            found.append(seen.with_boxes(
                boxes + np.array((window.left, window.top) * 2, np.float32)))
        merged = merge_views(found, windows, self.selection.class_agnostic_nms)
        if self._mask:
            merged = self._mask.apply(merged, size)
        return merged.select(np.arange(min(len(merged), self.selection.max_detections)))

    def _look(self, image_bgr: ImageArray, max_detections: int) -> Detections:
        letterbox = self.fit(image_bgr)
        outputs = self.backend.infer(self.make_blob(image_bgr, letterbox))
        return self.postprocess(outputs, letterbox, max_detections)

    def fit(self, image_bgr: ImageArray) -> Letterbox:
        """Return the transform of an image to the network input; raise ImageError if invalid."""
        return Letterbox.fit(_checked_image(image_bgr), self.input_size, self.card.preprocess,
                             self.card.padded_to)

    def least_size(self, full_size: ImageSize) -> ImageSize:
        """
        Return the smallest size of an image that loses no detail for the network.

        :param full_size: Size of the image in pixels; it is returned unchanged if there is a view.
        """
        if self.view != View():
            return full_size
        return Letterbox.fit(full_size, self.input_size, self.card.preprocess,
                             self.card.padded_to).resized_size

    def make_blob(self, image_bgr: ImageArray, letterbox: Letterbox) -> FloatArray:
        """Return the network input; the detector owns its memory and reuses it."""
        return self._blobs.make(image_bgr, letterbox)

    def postprocess(self, outputs: Sequence[FloatArray], letterbox: Letterbox,
                    max_detections: int | None = None) -> Detections:
        """
        Convert network outputs to detections.

        :param outputs: Outputs of the backend.
        :param letterbox: Transform between the image and the network input.
        :param max_detections: Maximum number of detections; None: that of the selection.
        """
        selection, thresholds = self._selection
        card = self.card
        lowest = selection.score_threshold
        if selection.class_thresholds:
            lowest = float(thresholds.min())
        candidates = DECODERS[card.family](outputs, card.decode, len(card.class_names),
                                           letterbox.input_size, lowest)
        if selection.classes or selection.class_thresholds:
            reached = margins(candidates, thresholds, card.class_names) >= 0
            candidates = candidates.select(reached)
        if not len(candidates):  # most images; each NumPy call has a fixed cost
            return candidates
        found = nms(candidates, selection.nms_iou_threshold,
                    max_detections or selection.max_detections, selection.class_agnostic_nms)
        boxes = clip_boxes(letterbox.to_source(found.boxes_xyxy), letterbox.source_size)
        found = found.with_boxes(boxes)
        inside = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)  # excludes boxes in the padding
        return found if inside.all() else found.select(inside)

    def warm_up(self) -> None:
        """
        Run the network once and check its outputs; with a rect resize mode also at a second size.

        :raises ModelError: if outputs do not match the card, are not finite, or the network
            supports only one input size.
        """
        height, width = self.input_size
        self._dummy_forward(ImageSize(height, width))
        resize = self.card.preprocess.resize
        if resize not in RECT_RESIZES:
            return
        try:
            self._dummy_forward(ImageSize(max(MIN_SIDE, height // 2), width))
        except ModelError as error:
            raise ModelError(f'{self.card.name}: the network supports only the input size '
                             f'{self.input_size}; set resize to letterbox_square or stretch '
                             f'instead of {resize} in its card: {error}') from None

    def _dummy_forward(self, source: ImageSize) -> None:
        letterbox = Letterbox.fit(source, self.input_size, self.card.preprocess,
                                  self.card.padded_to)
        outputs = self.backend.infer(blank_blob(letterbox.input_size))
        if not all(np.isfinite(output).all() for output in outputs):
            raise ModelError(f'{self.card.name}: network outputs contain NaN or infinity; try '
                             'precision fp32, otherwise the weights are damaged')
        self.postprocess(outputs, letterbox)


def with_resize(card: NetworkCard, resize: str | None) -> NetworkCard:
    """
    Return a card with another resize mode; None returns the same card.

    :param card: Card of the network.
    :param resize: Resize mode.
    :raises ConfigError: if the resize mode is unknown.
    """
    if resize is None:
        return card
    preprocess = from_mapping({**msgspec.structs.asdict(card.preprocess), 'resize': resize},
                              PreprocessSpec, 'resize')
    return msgspec.structs.replace(card, preprocess=preprocess)


def _checked_image(image_bgr: ImageArray) -> ImageSize:
    if not isinstance(image_bgr, np.ndarray):  # cv2.imread returns None for a missing file
        raise ImageError(f'image is {type(image_bgr).__name__}; expected a NumPy array')
    if image_bgr.dtype != np.uint8 or image_bgr.ndim != 3 or image_bgr.shape[2] != 3:
        raise ImageError(f'image is {image_bgr.dtype} of shape {image_bgr.shape}; '
                         'expected uint8 of shape (height, width, 3)')
    source = size_of(image_bgr)
    if not MIN_SIDE <= min(source) <= max(source) <= MAX_SIDE:
        raise ImageError(f'image is {source} pixels; expected sides of '
                         f'{MIN_SIDE} to {MAX_SIDE}')
    return source


def _checked_size(size: ImageSize, card: NetworkCard) -> ImageSize:
    from_mapping({'height': size.height, 'width': size.width}, SizeSpec, f'input size {size}')
    try:
        return checked_size(size, card)
    except ValueError as error:
        raise ConfigError(f'{card.name}: {error}') from None
