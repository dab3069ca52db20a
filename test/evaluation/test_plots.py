# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Pictures of evaluations, the odd ones first; what they show is read from the figures."""

import warnings

import cv2
from lite_detector import load_model
from lite_detector.core.types import ImageSize
from lite_detector.data.pictures import CELL, COLUMNS
from lite_detector.evaluation.confusion import confusion_matrix
from lite_detector.evaluation.curves import class_curves, overall_curve
from lite_detector.evaluation.matching import match_dataset
from lite_detector.evaluation.plots import (
    BACKGROUND,
    draw_confusion,
    draw_f1,
    draw_precision_recall,
    MAX_CELLS,
    MAX_NAMED,
)
from lite_detector.evaluation.report import write_report
from lite_detector.evaluation.worst import draw_worst, explain_alarm, worst_and_best_images
import msgspec
import numpy as np
import pytest
from tiny_models import square_image
from tiny_results import AWAY, dataset, detections, shifted, SQUARE

MANY = [f'class {index}' for index in range(80)]


@pytest.fixture(autouse=True)
def matplotlib():
    # inside a test: a skip of the whole module would trip the pytest plugin of launch_testing
    return pytest.importorskip('matplotlib')


@pytest.fixture
def images(tmp_path):
    """Write the two images that the labels are about."""
    for index in (1, 2):
        cv2.imwrite(str(tmp_path / f'{index}.png'), square_image(480, 640, 50, 100, side=100))
    return tmp_path


def legend_of(figure) -> list[str]:
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


ODD = {
    'nothing at all': (dataset(categories=((1, 'object0'),)), {}),
    'no detection': (dataset((1, 1, SQUARE), categories=((1, 'object0'),)), {}),
    'no label': (dataset(categories=((1, 'object0'),)), {1: detections((SQUARE, 0.9, 0))}),
    'an odd name': (dataset((1, 1, SQUARE), (2, 1, AWAY), categories=((1, '_$x_{'),)),
                    {1: detections((SQUARE, 0.9, 0)), 2: detections((SQUARE, 0.5, 0))}),
    'boxes without area': (dataset((1, 1, (5.0, 5.0, 5.0, 9.0)), categories=((1, 'object0'),)),
                           {1: detections(((700.0, 9.0, 700.0, 9.0), 0.9, 0))}),
}


@pytest.mark.parametrize('case', ODD)
def test_report_of_an_odd_case_is_five_pictures_that_show_something(case, images, tiny_nanodet):
    truth, found = ODD[case]
    detector = load_model(str(tiny_nanodet), input_size=ImageSize(480, 640))
    names = [truth.categories[0].name, 'object1']
    detector.card = msgspec.structs.replace(detector.card, class_names=tuple(names))
    output = images / 'plots'
    output.mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        write_report(output, detector, truth, images, match_dataset(truth, found, names))
    pictures = [cv2.imread(str(path)) for path in output.iterdir()]
    assert len(pictures) == 5
    assert all(picture.std() > 1 for picture in pictures)


def many_classes():
    """Return 80 classes of which class n has n objects, in all one image."""
    labels = [(1, class_id, SQUARE) for class_id in range(80) for _ in range(class_id)]
    truth = dataset(*labels, categories=list(enumerate(MANY)))
    found = detections(*((SQUARE, 0.9, class_id) for class_id in range(80)))
    return match_dataset(truth, {1: found}, MANY)


def test_curves_of_many_classes_name_the_most_frequent():
    matches = many_classes()
    curves = class_curves(matches, MANY)
    legend = legend_of(draw_precision_recall(curves, 'x'))
    assert legend[0] == 'class 79: AP50 2.0'  # one of 79 found reaches the levels 0 and 0.01
    assert len(legend) == MAX_NAMED + 2
    assert legend[-2] == '67 classes with fewer objects'
    assert legend[-1].startswith('mean of 79 classes: AP50')
    legend = legend_of(draw_f1(curves, overall_curve(matches), 'x'))
    assert legend[-2:] == ['all classes together', 'suggested: 0.899 (F1 0.05)']


def test_curve_of_one_class_is_not_averaged():
    truth = dataset((1, 1, SQUARE))
    matches = match_dataset(truth, {1: detections((SQUARE, 0.5, 0))}, ['cat'])
    assert legend_of(draw_precision_recall(class_curves(matches, ['cat']), 'x')) == [
        'cat: AP50 100.0']


def test_confusion_of_many_classes_adds_up_those_without_room():
    counts = confusion_matrix(many_classes(), 0.5, len(MANY))
    axes = draw_confusion(counts, MANY, 'x').axes[0]
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names[:2] == ['class 79', 'class 78']
    # class 0 has no object and one false alarm: it is among the others
    assert names[MAX_CELLS:] == ['(50 others)', BACKGROUND]
    assert sum(int(text.get_text()) for text in axes.texts) == counts.sum()


# The worst

def test_worst_shows_the_largest_miss_and_the_best_scored_alarm_first(images):
    small = (300.0, 300.0, 320.0, 320.0)
    truth = dataset((1, 1, small), (1, 1, SQUARE))
    matches = match_dataset(truth, {2: detections((AWAY, 0.9, 0))}, ['cat'])
    sheet = draw_worst(matches, truth, images, ['cat'], {1: 1.0, 2: 1.0})
    assert sheet.shape[1] == COLUMNS * CELL
    top, second, third, bottom = (sheet[row:row + 300, column:column + 300] for row, column in (
        (100, 0), (100, CELL), (100, 2 * CELL), (100 + CELL, 0)))
    # the white square fills half of the first cell; the second and the last show black and boxes
    assert (top.min(axis=2) > 250).mean() > 0.3
    for cell in (second, bottom):
        assert (cell.min(axis=2) > 250).mean() < 0.01
        assert (cell[..., 2] > 200).any()
    assert np.ptp(third) == 0


@pytest.mark.parametrize(('row', 'words'), [
    ((SQUARE, 0.9, 1), 'labelled cat'),
    ((shifted(SQUARE, 10), 0.8, 0), 'duplicate'),
    ((shifted(SQUARE, 50), 0.8, 0), 'poor localization, IoU 0.33'),
    ((shifted(SQUARE, 50), 0.8, 1), 'background'),
    ((AWAY, 0.8, 0), 'background'),
])
def test_false_alarm_is_explained(row, words):
    truth = dataset((1, 1, SQUARE), (2, 1, AWAY), categories=((1, 'cat'), (2, 'dog')))
    matches = match_dataset(truth, {1: detections((SQUARE, 0.99, 0), row)}, ['cat', 'dog'])
    assert matches.wrong[1]
    assert explain_alarm(matches, 1, ['cat', 'dog']) == words


def test_worst_and_best_images_of_nothing_are_none():
    assert worst_and_best_images(match_dataset(dataset(), {}, ['cat']), 6) == ([], [])


def test_worst_and_best_images_never_share_one():
    truth = dataset(*((image_id, 1, SQUARE) for image_id in range(1, 9)), images=8)
    # images 1 to 4 are right, 4 with a false alarm too; 7 has one and finds nothing
    found = {image_id: detections((SQUARE, 0.9, 0)) for image_id in (1, 2, 3)}
    found |= {4: detections((SQUARE, 0.9, 0), (AWAY, 0.8, 0)), 7: detections((AWAY, 0.8, 0))}
    matches = match_dataset(truth, found, ['cat'])
    worst, best = worst_and_best_images(matches, 6)
    assert (worst[0], set(worst[1:]) < {5, 6, 8}, set(best)) == (7, True, {1, 2, 3})
    worst, best = worst_and_best_images(match_dataset(dataset((1, 1, SQUARE)), {}, ['cat']), 6)
    assert (worst, best) == ([1], [])
