# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Light object detection for robots.

::

    import cv2, lite_detector
    detector = lite_detector.load_model()
    detections = detector.detect(cv2.imread('photo.jpg'))
"""

from __future__ import annotations

from typing import Any, TYPE_CHECKING

if TYPE_CHECKING:
    from lite_detector.core.types import Detections
    from lite_detector.detector import Detector

__all__ = ['Detections', 'Detector', 'load_model']


def load_model(model: str | None = None, **options: Any) -> Detector:
    """
    Load a model by name or folder and run it once.

    :param model: path of a model folder, or a name that ``zoo.find_model`` knows; None: the
        default model of the node.
    :param options: keyword arguments of :meth:`lite_detector.detector.Detector.from_folder`.
    :raises LiteDetectorError: if it is not found, damaged or does not fit its card.
    """
    from lite_detector.detector import Detector
    from lite_detector.zoo import DEFAULT_MODEL, find_model
    return Detector.from_folder(find_model(DEFAULT_MODEL if model is None else model), **options)


def __getattr__(name: str) -> Any:
    # The public names load on first use, so that `import lite_detector.core` costs only itself.
    if name == 'Detections':
        from lite_detector.core.types import Detections
        return Detections
    if name == 'Detector':
        from lite_detector.detector import Detector
        return Detector
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
