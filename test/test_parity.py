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
# The resize of OpenCV on ARM (KleidiCV) rounds a third of the pixels to the next grey level.
ON_ARM = platform.machine() == 'aarch64'
SCORE_TOLERANCE = 0.06 if ON_ARM else 0.01
MAX_DIFFERENT = 1 if ON_ARM else 0
"""Boxes of an image that may be missing or invented."""
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
        assert len(missing) <= MAX_DIFFERENT, (file_name, missing)
        assert len(invented) <= MAX_DIFFERENT, (file_name, found.boxes_xyxy[invented])


def test_every_model_of_the_package_has_a_reference(fetched_models):
    assert set(fetched_models) == set(EXPECTED)
