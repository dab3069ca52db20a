# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The reader of Pascal VOC."""

import time

from lite_detector.data.formats import open_dataset
import pytest
from tiny_datasets import (
    assert_refused,
    BOXES,
    CLASS_NAMES,
    voc_object,
    voc_text,
    with_file,
    write_voc,
)


def test_voc_difficult_objects_are_regions_to_ignore(tmp_path):
    dataset = open_dataset(*with_file(write_voc(tmp_path), 'a.xml', voc_text('a', ''.join(
        voc_object('ant', (1, 2, 3, 4), f'<difficult>{value}</difficult>')
        for value in ('1', '0', '', 'Unspecified')))))
    assert dataset[0].ignore.tolist() == [True, False, False, False]


def test_voc_of_negatives_alone_has_the_classes_given(tmp_path):
    annotations, images = write_voc(tmp_path)
    for stem in ('a', 'c'):
        (annotations / f'{stem}.xml').write_text(voc_text(stem, ''))
    assert open_dataset(annotations, images, CLASS_NAMES).class_names == CLASS_NAMES
    assert_refused(annotations, images, 'no class; expected')


@pytest.mark.parametrize('name', [r'C:\photos\a.png', 'photos/a.png', 'renamed.jpg', ''])
def test_voc_finds_the_image_under_another_name(name, tmp_path):
    annotations, images = write_voc(tmp_path)
    path = annotations / 'a.xml'
    path.write_text(path.read_text().replace('a.png', name))
    assert open_dataset(annotations, images)[0].image_path == images / 'a.png'


def test_voc_copy_that_names_the_first_image_has_its_own(tmp_path):
    annotations, images = write_voc(tmp_path)
    (annotations / 'a_flip.xml').write_text((annotations / 'a.xml').read_text())
    assert_refused(annotations, images, 'a_flip.xml: its image a.png belongs to a.xml too')
    (images / 'a_flip.png').write_bytes((images / 'a.png').read_bytes())
    assert open_dataset(annotations, images).labels[1].image_path.name == 'a_flip.png'


@pytest.mark.parametrize('size', ['', '<size><width>0</width><height>0</height></size>',
                                  '<size><height>40</height></size>'])
def test_voc_without_a_size_takes_that_of_the_image(size, tmp_path):
    text = f'<annotation><filename>a.png</filename>{size}</annotation>'
    dataset = open_dataset(*with_file(write_voc(tmp_path), 'a.xml', text))
    assert dataset[0].image_bgr.shape == (40, 64, 3)


@pytest.mark.parametrize(('text', 'words'), [
    ('', ['not valid XML']),
    ('<annotation>', ['not valid XML']),
    ('<?xml version="1.0" encoding="klingon"?><annotation>', ['not valid XML']),
    ('<html/>', ['not a Pascal VOC file', '<html>']),
    (voc_text('a', voc_object('', (1, 2, 3, 4))), ['object 1', 'no <name>']),
    (voc_text('a', '<object><name>ant</name></object>'), ['object 1 (ant)', 'no <bndbox>']),
    (voc_text('a', voc_object('ant', (1, 2, 'x', 4))), ['object 1 (ant), line 1: xmax', "'x'"]),
    (voc_text('a', voc_object('ant', (1, 2, '1e30', 4))),
     ['object 1 (ant), line 1: xmax', "'1e30'"]),
    (voc_text('a', voc_object('ant', (1, 2, 'nan', 4))),
     ['object 1 (ant), line 1: xmax', "'nan'"]),
    (voc_text('a', voc_object('ant', (1, 2, 3, 4)).replace('xmax', 'x')), ['no <xmax>']),
    (voc_text('a', voc_object('ant', (1, 2, 3, 4)) + voc_object('ant', (3, 2, 1, 4))),
     ['object 2 (ant)', 'expected left < right', '3 2 1 4']),
])
def test_voc_that_is_wrong_is_refused(text, words, tmp_path):
    assert_refused(*with_file(write_voc(tmp_path), 'a.xml', text), 'a.xml: ', *words)


def test_voc_names_the_first_three_files_that_are_wrong(tmp_path):
    annotations, images = write_voc(tmp_path)
    for stem in BOXES:
        (annotations / f'{stem}.xml').write_text('')
    assert_refused(annotations, images, 'a.xml: ', '3 of 3 images are broken', 'b.xml: ',
                   'c.xml: ')


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-16'])
def test_voc_refuses_entities_before_they_expand(encoding, tmp_path):
    entities = ''.join(f'<!ENTITY e{level} "{f"&e{level - 1};" * 10 if level else "ha"}">'
                       for level in range(12))
    text = (f'<!DOCTYPE annotation [{entities}]><annotation><filename>&e11;</filename>'
            '</annotation>')
    paths = with_file(write_voc(tmp_path), 'a.xml', text.encode(encoding))
    began = time.monotonic()
    assert_refused(*paths, 'a.xml: a document type (DTD) is not allowed')
    assert time.monotonic() - began < 0.1  # the parser's own limit comes later


def test_voc_refuses_to_read_other_files(tmp_path):
    text = '<!DOCTYPE annotation [<!ENTITY e SYSTEM "b.xml">]><annotation>&e;</annotation>'
    assert_refused(*with_file(write_voc(tmp_path), 'a.xml', text),
                   'a.xml: a document type (DTD) is not allowed')


# YOLO
