# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

from lite_detector.core.nms import MAX_CANDIDATES, nms
from lite_detector.core.types import Detections
import numpy as np
import pytest

BOX = (0, 0, 10, 10)
HALF = (0, 0, 10, 5)  # overlaps BOX by exactly 0.5
FAR = (50, 50, 60, 60)


def candidates(*rows: tuple[tuple[float, ...], float, int]) -> Detections:
    """Rows of (box, score, class)."""
    boxes, scores, class_ids = zip(*rows, strict=True)
    return Detections(np.array(boxes, np.float32), np.array(scores, np.float32),
                      np.array(class_ids, np.int64))


def plain_iou(a: np.ndarray, b: np.ndarray) -> float:
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height)
    return width * height / union


def plain_nms(found: Detections, iou_threshold: float) -> list[int]:
    """Return the kept rows: the textbook's loop."""
    left = sorted(range(len(found)), key=lambda row: -found.scores[row])
    kept = []
    while left:
        best = left.pop(0)
        kept.append(best)
        left = [row for row in left if found.class_ids[row] != found.class_ids[best]
                or plain_iou(found.boxes_xyxy[row], found.boxes_xyxy[best]) <= iou_threshold]
    return kept


def test_nms_without_candidates_is_empty():
    kept = nms(Detections.empty(), 0.6, 100)
    assert kept.boxes_xyxy.shape == (0, 4)
    assert (kept.boxes_xyxy.dtype, kept.scores.dtype) == (np.float32, np.float32)
    assert kept.class_ids.dtype == np.int64


@pytest.mark.parametrize(('rows', 'wanted_scores'), [
    ([(BOX, 0.5, 0)], [0.5]),
    ([(BOX, 0.5, 0), (BOX, 0.9, 0)], [0.9]),
    ([(BOX, 0.5, 0), (BOX, 0.9, 1)], [0.9, 0.5]),
    ([(BOX, 0.5, 0), (FAR, 0.9, 0)], [0.9, 0.5]),
    # what a suppressed box overlaps is not its business any more
    ([((0, 0, 10, 10), 0.9, 0), ((0, 3, 10, 13), 0.8, 0), ((0, 6, 10, 16), 0.7, 0)], [0.9, 0.7]),
    # a box without area overlaps nothing
    ([((5, 5, 5, 5), 0.9, 0), ((5, 5, 5, 5), 0.8, 0)], [0.9, 0.8]),
], ids=['one', 'same', 'classes', 'apart', 'chain', 'no area'])
def test_nms_keeps_the_best_of_each_group(rows, wanted_scores):
    kept = nms(candidates(*rows), 0.5, 100)
    np.testing.assert_allclose(kept.scores, wanted_scores)


@pytest.mark.parametrize(('class_agnostic', 'scores'), [(False, [0.9, 0.8]), (True, [0.9])])
def test_nms_of_two_classes_in_one_place_suppresses_only_if_class_agnostic(class_agnostic, scores):
    found = candidates(((0, 0, 10, 10), 0.8, 0), ((0, 0, 10, 10), 0.9, 1))
    kept = nms(found, 0.5, 10, class_agnostic)
    assert kept.scores.tolist() == pytest.approx(scores)


@pytest.mark.parametrize(('iou_threshold', 'count'), [(0.5, 2), (0.4999, 1), (0.0, 1), (1.0, 2)])
def test_nms_with_an_overlap_at_the_threshold_keeps_both(iou_threshold, count):
    assert len(nms(candidates((BOX, 0.9, 0), (HALF, 0.8, 0)), iou_threshold, 100)) == count


def test_nms_with_threshold_1_keeps_even_equal_boxes():
    assert len(nms(candidates((BOX, 0.9, 0), (BOX, 0.8, 0)), 1.0, 100)) == 2


def test_nms_with_equal_scores_keeps_their_order():
    # many, and of two scores: an unstable sort keeps few or equal values in order by chance
    rows = [((20 * index, 0, 20 * index + 9, 9), 0.5 - index % 2 / 4, 0) for index in range(500)]
    kept = nms(candidates(*rows), 0.5, 500)
    order = [*range(0, 500, 2), *range(1, 500, 2)]
    np.testing.assert_array_equal(kept.boxes_xyxy[:, 0], np.multiply(20, order))
    first = nms(candidates((BOX, 0.5, 7), (HALF, 0.5, 7)), 0.3, 100)
    np.testing.assert_array_equal(first.boxes_xyxy, [BOX])


@pytest.mark.parametrize('max_detections', [1, 3, 10, 11])
def test_nms_returns_at_most_max_detections_best_first(max_detections):
    rows = [((20 * index, 0, 20 * index + 9, 9), index / 10, 0) for index in range(10)]
    kept = nms(candidates(*rows), 0.5, max_detections)
    np.testing.assert_allclose(kept.scores, np.arange(9, -1, -1)[:max_detections] / 10)


def test_nms_with_too_many_candidates_takes_the_best():
    count = 2 * MAX_CANDIDATES
    random = np.random.default_rng(0)
    corner = np.arange(count, dtype=np.float32) * 20
    scores = random.permutation(np.linspace(0, 1, count, dtype=np.float32))
    kept = nms(Detections(np.stack((corner, corner, corner + 9, corner + 9), axis=1), scores,
                          np.zeros(count, np.int64)), 0.5, count)
    np.testing.assert_array_equal(kept.scores, np.sort(scores)[::-1][:MAX_CANDIDATES])


@pytest.mark.parametrize('seed', range(8))
@pytest.mark.parametrize('iou_threshold', [0.0, 0.3, 0.6, 0.9])
def test_nms_equals_the_plain_loop_on_random_boxes(seed, iou_threshold):
    random = np.random.default_rng(seed)
    corner = random.random((120, 2)) * 60
    boxes = np.concatenate((corner, corner + 5 + random.random((120, 2)) * 40), axis=1)
    found = Detections(boxes.astype(np.float32), random.random(120).astype(np.float32),
                       random.integers(0, 3, 120))
    kept = nms(found, iou_threshold, 1000)
    wanted = found.select(np.array(plain_nms(found, iou_threshold)))
    np.testing.assert_array_equal(kept.boxes_xyxy, wanted.boxes_xyxy)
    np.testing.assert_array_equal(kept.scores, wanted.scores)
    np.testing.assert_array_equal(kept.class_ids, wanted.class_ids)
