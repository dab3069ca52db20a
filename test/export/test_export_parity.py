# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The comparison of runtimes, by hand; no torch here."""

from lite_detector.core.errors import ModelError
from lite_detector.core.types import Detections
from lite_detector.detector import Detector, Selection
from lite_detector.export import parity
from lite_detector.export.parity import (
    card_section,
    check,
    compare,
    confident,
    count_unmatched,
    largest_difference,
)
import msgspec
import numpy as np
import pytest
from tiny_models import square_image, write_tiny_nanodet

IMAGES = [square_image(64, 96, 32, 32), square_image(90, 60, 0, 0), square_image(40, 200, 8, 64)]
SQUARE = (0, 0, 100, 100)


def detections(*rows: tuple) -> Detections:
    """Return detections of rows (box, score, class id)."""
    return Detections(np.array([row[0] for row in rows], np.float32).reshape(-1, 4),
                      np.array([row[1] for row in rows], np.float32),
                      np.array([row[2] for row in rows], np.int64))


class Changed:
    """A runtime that returns the outputs of another one, changed."""

    def __init__(self, backend, change):
        self._backend = backend
        self._change = change

    def infer(self, blob):
        return [self._change(output.copy()) for output in self._backend.infer(blob)]


@pytest.fixture
def reference(tmp_path) -> Detector:
    """Return a network whose boxes score 1 (a square) or 0."""
    return Detector.from_folder(write_tiny_nanodet(tmp_path / 'quiet'), precision='fp32',
                                selection=Selection(score_threshold=0.05))


def compared(reference, change, measure=None) -> parity.Parity:
    """Compare the reference with a changed copy of itself."""
    return compare(reference, {'ncnn': Changed(reference.backend, change)}, IMAGES, measure)


@pytest.mark.parametrize(('wanted', 'given', 'unmatched'), [
    ([], [], 0),
    ([], [(SQUARE, 0.9, 0)], 0),
    ([(SQUARE, 0.9, 0)], [], 1),
    ([(SQUARE, 0.9, 0)], [(SQUARE, 0.9, 0)], 0),
    ([(SQUARE, 0.9, 0)], [(SQUARE, 0.9, 1)], 1),
    # 90 and 89 of 100 columns
    ([(SQUARE, 0.9, 0)], [((0, 0, 90, 100), 0.9, 0)], 0),
    ([(SQUARE, 0.9, 0)], [((0, 0, 89, 100), 0.9, 0)], 1),
    # a score may cross the threshold by a little, and lower scores are ignored
    ([(SQUARE, 0.301, 0)], [(SQUARE, 0.299, 0)], 0),
    ([(SQUARE, 0.35, 0)], [(SQUARE, 0.27, 0)], 1),
    ([(SQUARE, 0.299, 0)], [], 0),
    # each box is matched once
    ([(SQUARE, 0.9, 0), (SQUARE, 0.8, 0)], [(SQUARE, 0.9, 0)], 1),
    # the boxes are clipped to nothing at the border: there is nothing to match
    ([((0, 0, 0, 100), 0.9, 0)], [], 0),
])
def test_count_unmatched_by_hand(wanted, given, unmatched):
    assert count_unmatched(detections(*wanted), detections(*given)) == unmatched


def test_count_unmatched_takes_the_best_overlap():
    wanted = detections((SQUARE, 0.9, 0), ((0, 0, 100, 91), 0.8, 0))
    given = detections(((0, 0, 100, 91), 0.9, 0), (SQUARE, 0.8, 0))
    assert count_unmatched(wanted, given) == 0


def test_confident_keeps_scores_from_the_threshold_on():
    found = detections((SQUARE, 0.5, 0), (SQUARE, 0.25, 1), ((5, 5, 5, 9), 0.9, 0))
    assert confident(found, 0.25).class_ids.tolist() == [0, 1]
    assert confident(found, 0.5).class_ids.tolist() == [0]
    assert len(confident(Detections.empty(), 0.5)) == 0


def test_largest_difference_looks_at_every_output():
    wanted = [np.zeros((2, 3, 4), np.float32), np.zeros((2, 1, 1), np.float32)]
    got = [output.copy() for output in wanted]
    got[1][1] = -0.25
    assert largest_difference(got, wanted, 'ncnn') == 0.25
    got[0][0, 0, 0] = np.nan
    assert np.isnan(largest_difference(got, wanted, 'ncnn'))


@pytest.mark.parametrize('shapes', [[(2, 3, 3)], [(2, 3, 4), (2, 3, 4)], []])
def test_largest_difference_of_other_shapes_is_an_error(shapes):
    with pytest.raises(ModelError, match=r'onnx has outputs of shapes .*\(2, 3, 4\)'):
        largest_difference([np.zeros(shape, np.float32) for shape in shapes],
                           [np.zeros((2, 3, 4), np.float32)], 'onnx')


def test_compare_of_a_network_with_itself_finds_no_difference(reference):
    result = compared(reference, lambda output: output, measure=len)
    assert (result.images, result.ap) == (3, 3)
    assert result.boxes > 0
    runtime = result.runtimes['ncnn']
    assert (runtime.output_difference, runtime.boxes) == (0, result.boxes)
    assert (runtime.matched_percent, runtime.ap, runtime.ap_difference) == (100, 3, 0)
    check(result)
    section = card_section(result, 'three squares')
    assert section['images_from'] == 'three squares'
    assert section['ncnn']['matched_percent'] == 100
    assert section['limits']['iou'] == 0.9


def test_compare_of_ncnn_and_onnx_runtime_with_random_weights_agrees(tmp_path):
    folder = write_tiny_nanodet(tmp_path / 'random', seed=3)
    selection = Selection(score_threshold=0.05)
    detectors = {runtime: Detector.from_folder(folder, runtime=runtime, precision='fp32',
                                               selection=selection)
                 for runtime in ('ncnn', 'onnx')}
    result = compare(detectors['ncnn'], {'onnx': detectors['onnx'].backend}, IMAGES)
    check(result)
    assert 0 < result.runtimes['onnx'].output_difference < 1e-4


def test_compare_without_boxes_rests_on_the_outputs(reference):
    black = [np.zeros((64, 96, 3), np.uint8)]
    result = compare(reference, {'ncnn': reference.backend}, black)
    assert (result.boxes, result.runtimes['ncnn'].matched_percent) == (0, None)
    check(result)


def test_compare_without_images_is_an_error(reference):
    with pytest.raises(ModelError, match='no image'):
        compare(reference, {'ncnn': reference.backend}, [])


def test_compare_looks_at_a_size_that_was_not_exported(reference):
    # like a flattened trace: correct at the exported size, wrong cells at any other
    fixed = Changed(reference.backend, lambda output: output[:, :8, :12])
    with pytest.raises(ModelError, match='fixed a size'):
        compare(reference, {'ncnn': fixed}, IMAGES[:1])


@pytest.mark.parametrize(('change', 'words'), [
    (lambda output: output + 5, 'ncnn differs from torch on 3 images: outputs differ by 5'),
    (lambda output: output * np.nan, 'outputs differ by nan'),
], ids=['shifted', 'nan'])
def test_check_refuses_other_outputs(reference, change, words):
    with pytest.raises(ModelError, match=words):
        check(compared(reference, change))


def test_check_refuses_boxes_that_are_lost_or_invented(reference, monkeypatch):
    monkeypatch.setattr(parity, 'OUTPUT_DIFFERENCE', 10)
    found = compared(reference, lambda output: output)

    def lose(output):
        output[:2] = -10
        return output

    lost = compared(reference, lose)
    assert (lost.boxes, lost.runtimes['ncnn'].boxes) == (found.boxes, 0)
    with pytest.raises(ModelError, match=rf'0.0 % of {found.boxes} boxes matched at IoU 0.9'):
        check(lost)
    inventing = Detector(reference.card, Changed(reference.backend, lose), reference.selection)
    invented = compare(inventing, {'ncnn': reference.backend}, IMAGES)
    assert invented.boxes == 0
    with pytest.raises(ModelError, match='0.0 % of 0 boxes'):
        check(invented)


@pytest.mark.parametrize(('boxes', 'unmatched', 'passes'), [
    (1000, 5, True), (1000, 6, False), (150, 1, True), (20, 1, True), (19, 1, False),
    (150, 2, False), (19, 0, True)])
def test_check_lets_one_of_twenty_boxes_differ(boxes, unmatched, passes):
    matched = 100 * (1 - unmatched / boxes)
    result = parity.Parity(1, 10.0, boxes, {
        'ncnn': parity.RuntimeParity(0.0, boxes, unmatched, matched)})
    if passes:
        check(result)
    else:
        with pytest.raises(ModelError, match='boxes matched'):
            check(result)


@pytest.mark.parametrize(('boxes', 'ap', 'passes'), [
    (1000, 27.1, True), (1000, 26.9, True), (1000, 26.89, False), (1000, 27.11, False),
    # one box of two hundred is half a point
    (200, 26.5, True), (200, 26.4, False)])
def test_check_holds_the_ap_against_its_limit(reference, boxes, ap, passes):
    figures = iter((27.0, ap))
    result = compared(reference, lambda output: output, measure=lambda found: next(figures))
    result = msgspec.structs.replace(result, boxes=boxes)
    if passes:
        check(result)
    else:
        with pytest.raises(ModelError, match=f'AP is {ap} instead of 27.0'):
            check(result)
