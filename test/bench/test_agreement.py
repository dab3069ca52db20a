# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The comparison of processors (scripts/agreement.py) on detections written by hand."""

from argparse import Namespace
import json
from pathlib import Path

from lite_detector.data.coco import load_coco
import msgspec
import pytest
from tiny_models import change_card
from tiny_results import detections

SQUARE, MOVED, AWAY = (0, 0, 40, 40), (10, 0, 50, 40), (100, 100, 140, 140)
"""The second overlaps the first by 30 x 40 of 50 x 40 pixels, an IoU of 0.6."""


@pytest.fixture
def agreement(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2] / 'scripts'))
    import agreement
    return agreement


@pytest.mark.parametrize(('wanted', 'given', 'result'), [
    ([], [], (0, 0, 0)),
    ([], [(SQUARE, 0.9, 0)], (0, 0, 0)),
    ([(SQUARE, 0.9, 0)], [], (1, 1, 0)),
    ([(SQUARE, 0.39, 0)], [], (0, 0, 0)),
    ([(SQUARE, 0.9, 0)], [(MOVED, 0.2, 0)], (1, 0, 0.7)),
    ([(SQUARE, 0.9, 0)], [(SQUARE, 0.9, 1)], (1, 1, 0)),
    ([(SQUARE, 0.9, 0)], [(AWAY, 0.9, 0)], (1, 1, 0)),
    ([(SQUARE, 0.9, 0), (MOVED, 0.5, 0)], [(SQUARE, 0.8, 0)], (2, 1, 0.1)),
])
def test_lost_boxes_counts_each_box_once(agreement, wanted, given, result):
    assert agreement.lost_boxes(detections(*wanted), detections(*given)) == pytest.approx(result)


@pytest.fixture
def annotations(tmp_path) -> Path:
    """Return a file with a box that the tiny model can name in the second image alone."""
    path = tmp_path / 'labels.json'
    path.write_text(json.dumps({
        'images': [{'id': number, 'file_name': f'{number}.png', 'height': 200, 'width': 200}
                   for number in (1, 2, 3)],
        'annotations': [
            {'image_id': 1, 'category_id': 9, 'bbox': [0, 0, 40, 40]},
            {'image_id': 2, 'category_id': 3, 'bbox': [0, 0, 40, 40]},
            {'image_id': 3, 'category_id': 3, 'bbox': [0, 0, 40, 40]}],
        'categories': [{'id': 3, 'name': 'object0'}, {'id': 9, 'name': 'unknown'}]}))
    return path


def test_first_images_are_those_with_a_box_that_the_model_can_name(agreement, annotations):
    chosen = agreement.first_images(load_coco(annotations), ('object0',), 1)
    assert [image.image_id for image in chosen.images] == [2]
    assert [box.image_id for box in chosen.annotations] == [2]


@pytest.mark.parametrize(('precision', 'boxes', 'failed'), [
    ('fp32', [[0, 0, 40, 40, 0.9, 0]], 0),
    ('bf16', [[0, 0, 40, 40, 0.5, 0]], 0),
    ('bf16', [[0, 0, 40, 36, 0.9, 0]], 1),  # found again, but not at IoU 0.95
    ('auto', [], 1),
    ('int8', [], 1),
])
def test_compare_fails_where_a_box_is_lost_or_ap_falls(agreement, annotations, tiny_nanodet,
                                                       tmp_path, capsys, precision, boxes,
                                                       failed):
    right, kind = [[0, 0, 40, 40, 0.9, 0]], 'int8' if precision == 'int8' else 'fp32'
    paths = []
    for processor, name, rows in ((agreement.REFERENCE, kind, right), ('board', precision, boxes)):
        paths.append(tmp_path / f'{processor}.json')
        paths[-1].write_bytes(msgspec.json.encode(agreement.Run(
            processor, str(tiny_nanodet), name, 0.0, {2: rows, 3: rows})))
    assert agreement.compare(Namespace(runs=paths, annotations=annotations)) == failed
    row = capsys.readouterr().out.splitlines()[-1]
    assert row.startswith(f'| tiny | board | {precision} |')
    assert row.endswith('beyond the limit') == bool(failed)


def test_plan_has_int8_where_the_folder_has_it(agreement, tiny_nanodet, capsys):
    agreement.plan(Namespace(models=[tiny_nanodet]))
    assert len(capsys.readouterr().out.splitlines()) == 6
    change_card(tiny_nanodet, 'runtimes.ncnn.int8', {'param': 'b.param', 'bin': 'b.bin'})
    agreement.plan(Namespace(models=[tiny_nanodet]))
    lines = [line.split()[::2] for line in capsys.readouterr().out.splitlines()]
    assert [precision for processor, precision in lines if processor == 'cortex-a76'] == [
        'fp32', 'bf16', 'auto', 'int8', 'int8_bf16', 'int8_auto']
