# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Write all plots of an evaluation into one folder."""

from __future__ import annotations

from pathlib import Path

from lite_detector.core.media import write_jpeg
from lite_detector.core.parameter_file import EVERY_NODE, write_parameter_file
from lite_detector.data.coco import CocoDataset
from lite_detector.data.pictures import save_figure
from lite_detector.detector import Detector, Selection
from lite_detector.evaluation.confusion import confusion_matrix
from lite_detector.evaluation.curves import class_curves, overall_curve
from lite_detector.evaluation.matching import Matches
from lite_detector.evaluation.plots import (
    draw_confusion,
    draw_f1,
    draw_precision_recall,
    draw_sizes,
)
from lite_detector.evaluation.size_bins import input_scales, measure_sizes
from lite_detector.evaluation.worst import draw_worst

FEW_OBJECTS = 30
"""Minimum number of labelled objects for a reliable threshold."""


def working_threshold(matches: Matches, detector: Detector) -> float:
    """Return the threshold for plots of single errors: the suggested or the default one."""
    best = overall_curve(matches).suggest()
    if best:
        return best.threshold
    return max(Selection().score_threshold, detector.selection.score_threshold)


def write_thresholds(path: Path, detector: Detector, matches: Matches) -> bool:
    """
    Write the suggested score thresholds as a parameter file of the node.

    :param path: Path of the parameter file.
    :param detector: Detector that made the detections.
    :param matches: Matches of all detections above the score threshold of the detector.
    :return: False if there are no true positives and no file was written.
    :raises ConfigError: if the file cannot be written.
    """
    best = overall_curve(matches).suggest()
    if not best:
        return False
    curves = class_curves(matches, detector.card.class_names)
    found = {name: suggested for name, curve in curves.items() if (suggested := curve.suggest())}
    few = [name for name in found if curves[name].labelled < FEW_OBJECTS]
    remark = (f'Score thresholds of the best F1 of {detector.card.name} at {detector.input_size}, '
              'by `lite_detector evaluate --plots`.')
    if few:
        remark += f'\nFewer than {FEW_OBJECTS} labelled objects: {", ".join(few)}'
    write_parameter_file(path, {
        'score_threshold': best.threshold,
        'class_thresholds': [f'{name}:{each.threshold}' for name, each in found.items()],
    }, remark, EVERY_NODE)
    return True


def write_report(folder: Path, detector: Detector, dataset: CocoDataset, images: Path,
                 matches: Matches) -> None:
    """
    Write ``pr_curve.png f1_curve.png confusion_matrix.png size_ap.png worst.jpg``.

    :param folder: Existing output directory.
    :param detector: Detector that made the detections; it is not run again.
    :param dataset: Labelled boxes.
    :param images: Folder of the images.
    :param matches: Matches of all detections above the score threshold of the detector.
    :raises DataError: if a file cannot be written.
    :raises LiteDetectorError: if matplotlib is not installed.
    """
    names = detector.card.class_names
    curves = class_curves(matches, names)
    threshold = working_threshold(matches, detector)
    scales = input_scales(dataset, detector)
    what = f'{detector.card.name} at {detector.input_size}, {len(dataset.images)} images'
    figures = {
        'pr_curve.png': draw_precision_recall(curves, f'Precision and recall at IoU 0.5\n{what}'),
        'f1_curve.png': draw_f1(curves, overall_curve(matches),
                                f'F1 against the score threshold\n{what}'),
        'confusion_matrix.png': draw_confusion(
            confusion_matrix(matches, threshold, len(names)), names,
            f'Confusion at score >= {threshold:.3f}\n{what}'),
        'size_ap.png': draw_sizes(measure_sizes(matches, scales, threshold), threshold,
                                  f'Size of the objects\n{what}'),
    }
    for name, figure in figures.items():
        save_figure(folder / name, figure)
    write_jpeg(folder / 'worst.jpg', draw_worst(matches.above(threshold), dataset, images, names,
                                                scales))
