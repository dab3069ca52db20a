# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The public weights find what the reference implementation found (``weights/expected``)."""

import json
import platform

import cv2
from lite_detector.core.types import Detections
from lite_detector.detector import Detector, Selection
import numpy as np
import pytest

EXPECTED = {
    'nanodet_m_320': 'nanodet_m_320_pad32c',
    'nanodet_m_416': 'nanodet-m-416_416_pad32c',
    'nanodet_plus_m_320': 'nanodet-plus-m-416_320_stretch',
    'nanodet_plus_m_416': 'nanodet-plus-m-416_416_stretch',
    'yolov5_lite_e_320': 'v5lite-e_320_sqtl',
    'yolov5_lite_s_416': 'v5lite-s_416_sqtl',
}
SCORE_THRESHOLD = 0.3
SCORE_TOLERANCE = 0.01
BOX_TOLERANCE_PX = 1.0


def take_match(wanted: dict, found: Detections, free: set[int]) -> bool:
    """Take one of the free detections that is the wanted one, and say whether there was any."""
    for row in free:
        if (found.class_ids[row] == wanted['cls']
                and abs(found.scores[row] - wanted['score']) <= SCORE_TOLERANCE
                and np.abs(found.boxes_xyxy[row] - wanted['xyxy']).max() <= BOX_TOLERANCE_PX):
            free.remove(row)
            return True
    return False


def resize_as_on_x86(image: np.ndarray, size: tuple[int, int], **_: object) -> np.ndarray:
    """Scale down as INTER_LINEAR on x86, in its fixed point, to (width, height)."""
    (height, width), pixels = image.shape[:2], image.astype(np.int64)
    if (width, height) == (2 * size[0], 2 * size[1]):
        return (pixels.reshape(size[1], 2, size[0], 2, -1).sum(axis=(1, 3)) + 2 >> 2).astype(
            np.uint8)
    left, right, columns = taps(width, size[0])
    top, bottom, rows = taps(height, size[1])
    lines = pixels[:, left] * columns[0][:, None] + pixels[:, right] * columns[1][:, None] >> 4
    upper, lower = (lines[index] * weights[:, None, None] >> 16
                    for index, weights in zip((top, bottom), rows, strict=True))
    return (upper + lower + 2 >> 2).astype(np.uint8)


def taps(source: int, target: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the two pixels that each new one is made of, and their weights in 1 / 2048."""
    positions = ((np.arange(target) + 0.5) * (source / target) - 0.5).astype(np.float32)
    first = np.floor(positions).astype(np.int64)
    share = np.where((first < 0) | (first >= source - 1), 0, positions - first)
    first = np.clip(first, 0, source - 1)
    weights = np.rint(np.float32(2048) * np.stack((1 - share, share)).astype(np.float32))
    return first, np.minimum(first + 1, source - 1), weights.astype(np.int64)


@pytest.fixture
def x86_resize(monkeypatch) -> None:
    """Resize as on x86: on ARM (KleidiCV) a third of the pixels is a grey level higher."""
    if platform.machine() == 'aarch64':
        monkeypatch.setattr(cv2, 'resize', resize_as_on_x86)


@pytest.mark.skipif(platform.machine() == 'aarch64', reason='OpenCV rounds otherwise on ARM')
@pytest.mark.parametrize('size', [(320, 240), (320, 241), (317, 133)])
def test_resize_as_on_x86_is_that_of_opencv(size):
    image = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    np.testing.assert_array_equal(resize_as_on_x86(image, size),
                                  cv2.resize(image, size, interpolation=cv2.INTER_LINEAR))


@pytest.mark.usefixtures('x86_resize')
@pytest.mark.parametrize('name', EXPECTED)
def test_public_weights_find_what_the_reference_found(name, fetched_models, shared_data):
    reference = json.loads(
        (shared_data / 'weights' / 'expected' / f'{EXPECTED[name]}.json').read_text())
    assert len(reference['images']) == 6
    # a score this close to the threshold may fall on either side of it
    certain = SCORE_THRESHOLD + SCORE_TOLERANCE
    detector = Detector.from_folder(fetched_models[name], precision='fp32',
                                    selection=Selection(score_threshold=SCORE_THRESHOLD))
    for file_name, picture in reference['images'].items():
        found = detector.detect(cv2.imread(str(shared_data / 'coco_mini' / 'val' / file_name)))
        free = set(range(len(found)))
        missing = [wanted for wanted in picture['detections']
                   if not take_match(wanted, found, free) and wanted['score'] > certain]
        invented = [row for row in free if found.scores[row] > certain]
        assert not missing, file_name
        assert not invented, (file_name, found.select(np.array(invented)))


def test_every_model_of_the_package_has_a_reference(fetched_models):
    assert set(fetched_models) == set(EXPECTED)
