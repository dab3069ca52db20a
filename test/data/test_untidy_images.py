# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Images that are gone, broken or rare, debris, and how the commands report them.

Each kind in both moods: tolerant, and strict where it is a skip.
"""

from collections.abc import Callable
import json
from pathlib import Path
from typing import Any

import cv2
from lite_detector.cli import main
from lite_detector.core.errors import DataError
from lite_detector.core.types import ImageSize
from lite_detector.data.findings import Findings, Reading
from lite_detector.data.formats import open_as_coco, open_dataset, read_annotations
import numpy as np
import pytest
from untidy import (
    box,
    coco,
    HEIGHT,
    image,
    picture,
    pixels,
    STRICT,
    WIDTH,
    write_images,
    write_texts,
)

TURNED = bytes.fromhex('ffe1002245786966000049492a000800000001001201030001000000060000000000'
                       '0000')
"""EXIF segment of a JPEG: turn right by 90 degrees."""


# 9: images that are gone, and the limit

@pytest.mark.parametrize('as_coco', [False, True])
def test_images_that_are_gone_are_skipped_and_counted(tmp_path, as_coco):
    images = write_images(tmp_path / 'images', *(f'{each}.jpg' for each in range(38)))
    path = tmp_path / 'instances.json'
    path.write_text(coco([image(each, f'{each}.jpg') for each in range(40)],
                         [box(each, 1, [1, 1, 9, 9]) for each in range(40)]))
    findings = Findings()
    if as_coco:
        dataset = open_as_coco(path, images, findings=findings)
        assert (len(dataset.images), len(dataset.annotations)) == (38, 38)
    else:
        assert len(open_dataset(path, images, findings=findings)) == 38
    assert findings.warnings() == [
        f'2 images skipped: no such image, first in {images}/38.jpg']
    with pytest.raises(DataError, match='38.jpg: no such image'):
        open_dataset(path, images, findings=Findings(STRICT))
    with pytest.raises(DataError, match=r'38.jpg: .*; 2 of 40 images are broken; expected at most '
                       r'4 % \(--max-broken, data.max_broken\); also .*39.jpg'):
        open_dataset(path, images, findings=Findings(Reading(max_broken=0.04)))


def test_exactly_the_limit_is_not_too_much():
    findings = Findings(Reading(max_broken=0.1))
    findings.seen['boxes'] = 10
    findings.skip('empty', 'a.txt:1')
    findings.check()
    findings.skip('empty', 'a.txt:2')
    with pytest.raises(DataError, match='a.txt:1: width or height <= 0; 2 of 10 boxes'):
        findings.check()


# 11, 15: images that cannot be read, and those that can

def jpeg(height: int = HEIGHT, width: int = WIDTH, exif: bytes = b'') -> bytes:
    ramp = np.linspace(0, 255, height * width).reshape(height, width).astype(np.uint8)
    data = cv2.imencode('.jpg', cv2.merge([ramp, ramp, ramp]))[1].tobytes()
    return data[:2] + exif + data[2:]


@pytest.mark.parametrize(('content', 'words'), [
    (b'', '0 bytes that do not decode'), (b'no image', '8 bytes that do not decode'),
    (jpeg()[:30], 'do not decode'), (b'<!DOCTYPE html><p>404', 'the content is an HTML page'),
    (b'\0\0\0\x18ftypheic' + bytes(40), 'the content is HEIC'),
    (b'version https://git-lfs.github.com/spec/v1\n', 'git lfs pull')])
def test_image_that_cannot_be_read_is_skipped_with_the_reason(yolo, tmp_path, content, words):
    yolo(*['0 0.5 0.5 0.5 0.5'] * 12)
    (tmp_path / 'images' / 'c.jpg').write_bytes(content)
    dataset = open_dataset(tmp_path / 'labels', tmp_path / 'images')
    assert len(dataset) == 11 and dataset.findings.counts() == {'unreadable': 1}
    line, = dataset.findings.warnings()
    assert line.startswith('1 images skipped: image that cannot be read, first in ')
    assert words in line
    with pytest.raises(DataError, match='c.jpg: '):
        open_dataset(tmp_path / 'labels', tmp_path / 'images', findings=Findings(STRICT))


def encoded_by_pillow(kind: str) -> bytes:
    pillow = pytest.importorskip('PIL.Image')
    import io
    file = io.BytesIO()
    whole = pillow.fromarray(picture(200))
    if kind == 'cmyk':
        whole.convert('CMYK').save(file, 'JPEG')
    elif kind == 'gif':
        whole.save(file, 'GIF')
    else:
        whole.convert('RGBA').quantize(16).save(file, 'PNG', transparency=0)
    return file.getvalue()


@pytest.mark.parametrize('name', ['a.jfif', 'a.JPG', 'a.jpe', 'cmyk.jpg', 'palette.png', '16.png',
                                  'grey.png', 'alpha.webp'])
def test_images_of_rare_kinds_are_read(tmp_path, name):
    images, stem = tmp_path / 'images', Path(name).stem
    images.mkdir()
    data = {'cmyk': lambda: encoded_by_pillow('cmyk'),
            'palette': lambda: encoded_by_pillow('palette'),
            '16': lambda: cv2.imencode('.png', picture(200).astype(np.uint16) * 257)[1].tobytes(),
            'grey': lambda: cv2.imencode('.png', picture(200)[..., 0])[1].tobytes(),
            'alpha': lambda: cv2.imencode('.webp', np.full((HEIGHT, WIDTH, 4), 200, np.uint8),
                                          (cv2.IMWRITE_WEBP_QUALITY, 101))[1].tobytes(),
            }.get(stem, lambda: cv2.imencode('.jpg', picture(200))[1].tobytes())()
    (images / name).write_bytes(data)
    write_texts(tmp_path / 'labels', **{stem: '0 0.5 0.5 0.5 0.5'})
    (tmp_path / 'labels' / 'classes.txt').write_text('ant\n')
    dataset = open_dataset(tmp_path / 'labels', images, findings=Findings(STRICT))
    sample, = dataset
    assert sample.image_bgr.shape == (HEIGHT, WIDTH, 3)
    assert abs(float(sample.image_bgr.mean()) - 200) < 3


def test_gif_under_the_name_of_a_jpeg_is_read_or_skipped_with_the_reason(yolo, tmp_path):
    yolo(*[''] * 12)
    (tmp_path / 'images' / 'c.jpg').write_bytes(encoded_by_pillow('gif'))
    dataset = open_dataset(tmp_path / 'labels', tmp_path / 'images')
    if len(dataset) == 12:
        assert abs(float(dataset[2].image_bgr.mean()) - 200) < 3
    else:
        assert 'the content is a GIF' in dataset.findings.warnings()[0]


@pytest.mark.parametrize(('size', 'height', 'width'), [
    ({'width': WIDTH, 'height': HEIGHT}, HEIGHT, WIDTH),   # labelled as it is stored
    ({'width': HEIGHT, 'height': WIDTH}, WIDTH, HEIGHT),   # labelled upright
    ({'width': None, 'height': None}, WIDTH, HEIGHT)])
def test_photo_turned_by_exif_is_read_as_it_was_labelled(read_coco, tmp_path, size, height,
                                                         width):
    (tmp_path / 'images').mkdir()
    (tmp_path / 'images' / 'a.jpg').write_bytes(jpeg(exif=TURNED))
    content = coco([image(1, 'a.jpg', **size)], [box(1, 1, [1, 2, 3, 4])])
    sample, = read_coco(content, STRICT)
    assert sample.image_bgr.shape == (height, width, 3)
    # stored, it grows lighter from top to bottom; upright, from right to left
    first, last = ((slice(0, 4), slice(None)), (slice(-4, None), slice(None))) if (
        height == HEIGHT) else ((slice(None), slice(-4, None)), (slice(None), slice(0, 4)))
    assert sample.image_bgr[first].mean() < 30 < 220 < sample.image_bgr[last].mean()
    coco_size = open_as_coco(tmp_path / 'instances.json', tmp_path / 'images').images[0].size
    assert coco_size == ImageSize(height, width)


def test_photo_of_another_size_than_its_labels_is_skipped(read_coco, tmp_path):
    write_images(tmp_path / 'images', *(f'{each}.jpg' for each in range(12)))
    content = coco([image(each, f'{each}.jpg', **({'width': 100} if not each else {}))
                    for each in range(12)], [])
    dataset = read_coco(content)
    assert len(dataset) == 11 and dataset.findings.counts() == {'other_size': 1}
    with pytest.raises(DataError, match='0.jpg: image size 64x40'):
        read_coco(content, STRICT)


# Debris

def test_debris_is_no_data(tmp_path):
    images = write_images(tmp_path / 'images', 'a.jpg', '._a.jpg', '.hidden/b.jpg',
                          '__MACOSX/a.jpg', 'train.jpg')
    labels = write_texts(tmp_path / 'labels', a='0 0.5 0.5 0.5 0.5', train='0 0.5 0.5 0.5 0.5',
                         val='images/a.jpg', __MACOSX__a='', README='words',
                         **{'._a': b'\0\5\x16\7', 'README.dataset': 'words'})
    (labels / 'classes.txt').write_text('ant\n')
    for name in ('Thumbs.db', 'desktop.ini', 'train.cache', '.DS_Store'):
        (labels / name).write_bytes(b'\0')
        (images / name).write_bytes(b'\0')
    dataset = open_dataset(labels, images, findings=Findings(STRICT))
    assert pixels(dataset) == {name: [('ant', (16, 10, 48, 30))] for name in
                               ('a.jpg', 'train.jpg')}  # train.txt is that of train.jpg
    assert not dataset.findings.counts()


@pytest.fixture
def check_data(tmp_path, capsys) -> Callable[..., tuple[int, str, str, Any]]:
    """Return a function: runs the command, gives exit status, stdout, stderr and the figures."""
    def run(*arguments: object) -> tuple[int, str, str, Any]:
        path = tmp_path / 'found.json'
        status = main(['check_data', *map(str, arguments), '--json', str(path)])
        return status, *capsys.readouterr(), json.loads(path.read_text())
    return run


# The commands

def test_check_data_runs_to_its_end_and_lists_all(check_data, tmp_path):
    write_images(tmp_path / 'images', 'cam1/a.jpg', 'cam2/a.jpg', 'b.jpg', 'c.jpg')
    (tmp_path / 'images' / 'c.jpg').write_bytes(b'')
    path = tmp_path / 'instances.json'
    path.write_text(coco([image(1, 'a.jpg'), image(2, 'b.jpg'), image(3, 'c.jpg'),
                          image(4, 'gone.jpg')], [
        box(2, 1, [1, 1, 9, 9]), box(2, 1, [1, 1, 0, 9]), box(5, 1, [1, 1, 9, 9])]))
    status, printed, _, found = check_data('--annotations', path, '--images',
                                           tmp_path / 'images')
    assert status == 0
    findings = found[0]['findings']
    assert {kind: len(findings[kind]) for kind in (
        'ambiguous_path', 'empty', 'unlisted_image', 'unreadable')} == {
        'ambiguous_path': 1, 'empty': 1, 'unlisted_image': 1, 'unreadable': 2}
    assert findings['empty'] == [f'{path}: annotations[1]: bbox is [1, 1, 0, 9]; expected a width '
                                 'and height above 0']
    assert '3 of 4 images are broken' in found[0]['refused']
    assert 'warning: instances.json: train refuses this dataset: ' in printed


@pytest.mark.parametrize(('options', 'status'), [
    ((), 0), (('--strict',), 2), (('--max-broken', 0.01), 2), (('--max-broken', 0.5), 0)])
def test_check_data_says_by_its_status_what_training_would(check_data, yolo, tmp_path, options,
                                                           status):
    yolo('0 0.5 0.5 0.5 0.5\n' * 19 + '0 0.5 0.5 0 0.5\n')
    got, printed, error, found = check_data(
        '--annotations', tmp_path / 'labels', '--images', tmp_path / 'images', *options)
    assert got == status
    assert found[0]['findings']['empty'] == [f'{tmp_path}/labels/a.txt:20: width or height <= 0']
    assert f'  {tmp_path}/labels/a.txt:20: width or height <= 0\n' in printed
    assert ('a.txt:20' in error) == (status == 2)


def test_max_broken_that_is_no_share_says_so(capsys, tmp_path):
    assert main(['check_data', '--annotations', str(tmp_path), '--images', str(tmp_path),
                 '--max-broken', '20']) == 2
    assert 'max_broken: 20; expected a share from 0 to 1' in capsys.readouterr().err


def test_labels_of_a_class_that_is_not_wanted_are_skipped_and_counted(yolo, tmp_path):
    yolo('0 0.5 0.5 0.5 0.5\n' * 19 + '1 0.5 0.5 0.5 0.5\n')
    findings = Findings()
    dataset = open_dataset(tmp_path / 'labels', tmp_path / 'images', ('ant',), findings)
    assert dataset.labels[0].class_ids.tolist() == [0] * 19
    assert findings.counts() == {'unlisted_class': 1}
    with pytest.raises(DataError, match="class 'bee' of a.jpg is unknown; expected one of ant"):
        open_dataset(tmp_path / 'labels', tmp_path / 'images', ('ant',), Findings(STRICT))


def test_images_of_a_link_that_leads_in_a_circle_are_read_once(yolo, tmp_path):
    yolo('0 0.5 0.5 0.5 0.5')
    (tmp_path / 'images' / 'again').symlink_to(tmp_path / 'images')
    assert len(read_annotations(tmp_path / 'labels', tmp_path / 'images')) == 1
