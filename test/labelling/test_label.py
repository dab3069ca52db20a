# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""What ``label`` makes of images, and of what people said of them before."""

import json
import os
from pathlib import Path

import cv2
from lite_detector.cli import main
from lite_detector.core.types import Detections
from lite_detector.data.coco import load_coco, read_coco
from lite_detector.labelling import labeller
from lite_detector.labelling.views import average_views, mirrored
import numpy as np
from numpy.testing import assert_allclose
import pytest
from tiny_models import square_image

WHITE, GREEN = (255, 255, 255), (0, 255, 0)
"""Found as object0 and object1 by the tiny network."""


def detections(*rows: tuple[int, float, tuple[float, ...]]) -> Detections:
    return Detections(np.array([box for _, _, box in rows], np.float32).reshape(-1, 4),
                      np.array([score for _, score, _ in rows], np.float32),
                      np.array([class_id for class_id, _, _ in rows], np.int64))


def test_average_of_two_empty_views_is_empty():
    assert len(average_views(Detections.empty(), Detections.empty())) == 0


def test_average_of_views_halves_what_only_one_sees():
    seen = detections((0, 0.8, (0, 0, 10, 10)))
    for merged in (average_views(seen, Detections.empty()),
                   average_views(Detections.empty(), seen)):
        assert_allclose(merged.scores, [0.4])
        assert_allclose(merged.boxes_xyxy, [[0, 0, 10, 10]])
        assert merged.scores.dtype == merged.boxes_xyxy.dtype == np.float32


def test_average_of_views_meets_boxes_of_one_class():
    first = detections((0, 0.6, (0, 0, 10, 10)), (1, 0.5, (0, 0, 10, 10)))
    second = detections((0, 0.2, (0, 0, 10, 8)), (0, 0.1, (50, 50, 60, 60)))
    merged = average_views(first, second)
    # class 0: (0.6 + 0.2) / 2, bottom (3 * 10 + 8) / 4; the others are seen once
    assert_allclose(merged.scores, [0.4, 0.25, 0.05], rtol=1e-6)
    assert merged.class_ids.tolist() == [0, 1, 0]
    assert_allclose(merged.boxes_xyxy[0], [0, 0, 10, 9.5], rtol=1e-6)


def test_average_of_views_gives_a_partner_to_the_better_box_only():
    first = detections((0, 0.8, (0, 0, 10, 10)), (0, 0.4, (0, 1, 10, 10)))
    merged = average_views(first, detections((0, 0.8, (0, 0, 10, 10))))
    assert_allclose(merged.scores, [0.8, 0.2])


def test_mirrored_counts_from_the_other_side():
    turned = mirrored(detections((0, 0.5, (10, 5, 30, 40))), 64)
    assert_allclose(turned.boxes_xyxy, [[34, 5, 54, 40]])
    assert mirrored(Detections.empty(), 64).boxes_xyxy.shape == (0, 4)


@pytest.fixture
def images(tmp_path) -> Path:
    """Return a folder: white.png has an object0, green.png an object1, black.png nothing."""
    folder = tmp_path / 'images'
    folder.mkdir()
    for name, color in (('black', (0, 0, 0)), ('green', GREEN), ('white', WHITE)):
        cv2.imwrite(str(folder / f'{name}.png'), square_image(64, 96, 32, 64, color))
    return folder


@pytest.fixture
def label(tiny_nanodet, images, tmp_path):
    """Return a function that runs ``label`` and returns exit status and output."""
    def run(*arguments: object) -> tuple[int, Path]:
        output = tmp_path / 'labels.json'
        options = ('--model', tiny_nanodet, '--precision', 'fp32', '--images', images,
                   '--output', output)
        try:
            return main(['label', *map(str, (*options, *arguments))]), output
        except SystemExit as error:
            return error.code, output
    return run


def write_annotations(images: Path, *class_names: str) -> Path:
    """Write labels of people for two images: one box and one crowd of the first class."""
    path = images.parent / 'people.json'
    path.write_text(json.dumps({
        'images': [{'id': 7, 'file_name': 'white.png', 'width': 96, 'height': 64},
                   {'id': 3, 'file_name': 'green.png', 'width': 96, 'height': 64}],
        'annotations': [
            {'image_id': 7, 'category_id': 5, 'bbox': [1.5, 2.25, 20.1, 30], 'iscrowd': 0},
            {'image_id': 3, 'category_id': 5, 'bbox': [0, 0, 96, 64], 'iscrowd': 1}],
        'categories': [{'id': 5 + index, 'name': name}
                       for index, name in enumerate(class_names)]}))
    return path


def found_in(path: Path) -> dict[str, list[tuple[str, tuple[float, ...], float | None, int]]]:
    """Return file name -> class name, bbox, score and crowd of each box."""
    coco = load_coco(path)
    names = {each.category_id: each.name for each in coco.categories}
    return {image.file_name: [(names[each.category_id], each.bbox, each.score, each.iscrowd)
                              for each in coco.annotations if each.image_id == image.image_id]
            for image in coco.images}


OBJECT0 = ('object0', (64, 32, 32, 32), 1.0, 0)
OBJECT1 = ('object1', (64, 32, 32, 32), 1.0, 0)


@pytest.mark.parametrize('options', [(), ('--flip',)])
def test_label_of_a_folder_keeps_every_image(label, images, options):
    (images / 'film.mp4').touch()
    status, output = label(*options)
    assert status == 0
    assert found_in(output) == {'black.png': [], 'green.png': [OBJECT1], 'white.png': [OBJECT0]}
    assert read_coco(output, images).class_names == ('object0', 'object1')
    content = json.loads(output.read_text())
    assert content['info']['teacher'] == 'tiny_nanodet'
    assert content['info']['flip'] == bool(options)
    assert content['annotations'][0]['area'] == 1024


def test_label_takes_over_the_classes_of_people(label, images):
    status, output = label('--annotations', write_annotations(images, 'object0', 'cup'))
    assert status == 0
    # the model also detects an object0, but people labelled this class, so their labels count
    assert found_in(output) == {'white.png': [('object0', (1.5, 2.25, 20.1, 30), None, 0)],
                                'green.png': [('object0', (0, 0, 96, 64), None, 1), OBJECT1]}
    assert read_coco(output, images).class_names == ('object0', 'object1', 'cup')


def test_label_unlabelled_takes_only_the_names_of_images(label, images):
    annotations = write_annotations(images, 'object0')
    status, output = label('--annotations', annotations, '--unlabelled', '--classes', 'object0')
    assert status == 0
    assert found_in(output) == {'white.png': [OBJECT0], 'green.png': []}


def test_label_again_looks_at_new_images_only(label, images, capsys):
    label()
    (images / 'black.png').unlink()
    cv2.imwrite(str(images / 'new.png'), square_image(64, 96, 32, 64, GREEN))
    capsys.readouterr()
    status, output = label()
    assert status == 0
    assert found_in(output) == {'green.png': [OBJECT1], 'new.png': [OBJECT1],
                                'white.png': [OBJECT0]}
    out = capsys.readouterr().out
    assert '3 images, 1 of them new' in out
    assert f'1 images of {output} do not exist: their labels are removed' in out


def test_label_again_with_another_image_of_the_same_name_is_refused(label, images, capsys):
    _, output = label()
    before = output.read_bytes()
    cv2.imwrite(str(images / 'white.png'), square_image(64, 96, 32, 64, GREEN))
    assert label()[0] == 2
    assert 'white.png: the output has labels of another image of this name' in (
        capsys.readouterr().err)
    assert output.read_bytes() == before


def test_label_refuses_a_name_that_json_cannot_say(label, images, capsys):
    (images / 'white.png').rename(images / os.fsdecode(b'white\xff.png'))
    assert label()[0] == 2
    assert 'not UTF-8; rename the file' in capsys.readouterr().err


def test_label_again_takes_over_what_people_changed(label, images):
    annotations = write_annotations(images, 'object0')
    label('--annotations', annotations)
    annotations.write_text(annotations.read_text().replace('20.1', '25.0'))
    _, output = label('--annotations', annotations)
    assert found_in(output) == {'white.png': [('object0', (1.5, 2.25, 25, 30), None, 0)],
                                'green.png': [('object0', (0, 0, 96, 64), None, 1), OBJECT1]}


def test_label_passes_over_a_bad_image(label, images, capsys):
    (images / 'green.png').write_bytes(b'bad')
    status, output = label()
    assert status == 0
    assert list(found_in(output)) == ['black.png', 'white.png']
    out, err = capsys.readouterr()
    assert 'green.png: 3 bytes that do not decode' in err and '1 images skipped' in out


def test_label_interrupted_keeps_what_it_has(label, monkeypatch):
    read_image = labeller.read_image

    def read_until_green(path: Path):
        if path.name == 'green.png':
            raise KeyboardInterrupt
        return read_image(path)
    monkeypatch.setattr(labeller, 'read_image', read_until_green)
    status, output = label()
    assert status == 130
    assert found_in(output) == {'black.png': []}


@pytest.mark.parametrize(('options', 'words'), [
    (['--score-threshold', '0.2'], ['score_threshold 0.1; this run has 0.2', 'another --output']),
    (['--size', '64'], ['input_size', 'this run has 64x64']),
    (['--classes', 'object1'], ['classes object0, object1; this run has object1']),
    (['--classes', 'cat'], ["no class 'cat'"]),
    (['--images', '/absent'], ['/absent: no such folder']),
    (['--output', '/absent/a.json'], ['/absent/a.json: cannot write']),
])
def test_label_into_labels_of_another_kind_ends_with_one_line(label, capsys, options, words):
    _, output = label()
    before = output.read_bytes()
    capsys.readouterr()
    assert label(*options)[0] == 2
    line, = capsys.readouterr().err.splitlines()
    assert line.startswith('error: ') and all(word in line for word in words)
    assert output.read_bytes() == before


def test_label_never_overwrites_labels_of_people(label, images, capsys):
    annotations = write_annotations(images, 'object0')
    before = annotations.read_bytes()
    assert label('--output', annotations)[0] == 2
    assert 'not a file of `label`' in capsys.readouterr().err
    assert annotations.read_bytes() == before


def test_label_of_other_images_into_the_file_is_an_error(label, tmp_path, capsys):
    label()
    other = tmp_path / 'other'
    other.mkdir()
    cv2.imwrite(str(other / 'a.png'), square_image(64, 96, 32, 64))
    assert label('--images', other)[0] == 2
    assert 'labels of other images, such as black.png' in capsys.readouterr().err


def test_label_with_nothing_to_add_or_to_read_is_an_error(label, images, capsys):
    assert label('--annotations', write_annotations(images, 'object0', 'object1'))[0] == 2
    assert 'all classes are labelled already' in capsys.readouterr().err
    for path in images.iterdir():
        path.write_bytes(b'')
    status, output = label()
    assert status == 2 and not output.exists()
    assert '0 of 3 images labelled' in capsys.readouterr().err
