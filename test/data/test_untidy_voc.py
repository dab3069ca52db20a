# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Folders of Pascal VOC as tools, other systems and accidents leave them.

Each kind in both moods: tolerant, and strict where it is a skip.
"""

from collections.abc import Callable

from lite_detector.core.errors import DataError
from lite_detector.data.dataset import Dataset
from lite_detector.data.findings import Findings, Reading
from lite_detector.data.formats import open_dataset
import pytest
from tiny_datasets import voc_object
from untidy import (
    pixels,
    STRICT,
    write_images,
    write_texts,
)

# Pascal VOC


def xml(objects: str, name: str = 'a.jpg', size: str = '64 40', head: str = '') -> str:
    width, height = size.split()
    return (f'{head}<annotation><folder>wrong</folder><filename>{name}</filename>'
            '<path>C:\\x</path>'
            f'<size><width>{width}</width><height>{height}</height></size>{objects}</annotation>')


@pytest.fixture
def voc(tmp_path) -> Callable[..., Dataset]:
    """Return a function: writes one xml file and reads it."""
    def read(text: str | bytes, name: str = 'a.xml', reading=STRICT) -> Dataset:
        path = tmp_path / 'Annotations' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return open_dataset(tmp_path / 'Annotations', tmp_path / 'JPEGImages',
                            findings=Findings(reading))
    return read


@pytest.mark.parametrize('objects', [
    voc_object('ant', (16, 10, 48, 30)), voc_object(' ant ', ('16.0', '1e1', ' 48 ', '30,0')),
    voc_object('ant', (16, 10, 48, 30), '<part><name>leg</name><bndbox><xmin>1</xmin></bndbox>'
               '</part><polygon><x1>1</x1></polygon>'),
    '<object><name>ant</name><polygon><x1>16</x1><y1>10</y1><x2>48</x2><y2>10</y2><x3>48</x3>'
    '<y3>30</y3></polygon></object>',
    '<object><name>ant</name><polygon><pt><x>16</x><y>10</y></pt><pt><x>48</x><y>10</y></pt><pt>'
    '<x>48</x><y>30</y></pt></polygon></object>',
    '<object><name>ant</name><robndbox><cx>32</cx><cy>20</cy><w>32</w><h>20</h><angle>0</angle>'
    '</robndbox></object>'])
@pytest.mark.parametrize('size', ['64 40', '64.0 40.0', '0 0'])
def test_voc_boxes_in_any_notation(voc, tmp_path, objects, size):
    write_images(tmp_path / 'JPEGImages', 'a.jpg')
    assert pixels(voc(xml(objects, size=size))) == {'a.jpg': [('ant', (16, 10, 48, 30))]}


@pytest.mark.parametrize(('file', 'name'), [
    ('a.xml', 'a'), ('a.XML', 'A.JPG'), ('a.xml', r'D:\x\a.png'), ('0001.xml', 'cam/a.jpg'),
    ('cam/a.xml', 'a.jpg'), ('0001.xml', 'a'), ('a.xml', ''), ('a.xml', 'other.jpg')])
def test_voc_image_of_any_name_is_found(voc, tmp_path, file, name):
    write_images(tmp_path / 'JPEGImages', 'cam/a.jpg')
    dataset = voc(xml(voc_object('ant', (16, 10, 48, 30)), name), file)
    assert pixels(dataset) == {'a.jpg': [('ant', (16, 10, 48, 30))]}


@pytest.mark.parametrize(('encoding', 'head'), [
    ('utf-8', ''), ('utf-8-sig', ''), ('utf-16', ''), ('latin-1', ''),
    ('latin-1', '<?xml version="1.0" encoding="utf-8"?>'),
    ('utf-8', '\n <?xml version="1.0" encoding="utf-8"?>'),
    ('utf-16', '<?xml version="1.0" encoding="utf-16"?>'),
    ('cp1252', '<?xml version="1.0" encoding="windows-1252"?>')])
def test_voc_in_any_encoding(voc, tmp_path, encoding, head):
    write_images(tmp_path / 'JPEGImages', 'a.jpg')
    dataset = voc(xml(voc_object('Käfer', (16, 10, 48, 30)), head=head).encode(encoding))
    assert pixels(dataset) == {'a.jpg': [('Käfer', (16, 10, 48, 30))]}


def test_voc_in_a_chinese_encoding_that_it_declares(voc, tmp_path):
    write_images(tmp_path / 'JPEGImages', 'a.jpg')
    head = '<?xml version="1.0" encoding="gb2312"?>'
    dataset = voc(xml(voc_object('猫', (16, 10, 48, 30)), head=head).encode('gb2312'))
    assert dataset.class_names == ('猫',)


@pytest.mark.parametrize(('broken', 'kind', 'words'), [
    (voc_object('ant', (48, 10, 16, 30)), 'empty', 'expected left < right'),
    (voc_object('ant', (16, 10, 16, 30)), 'empty', '16 10 16 30'),
    (voc_object('ant', (99, 10, 120, 30)), 'outside_image', 'image of 64x40'),
    (voc_object('', (16, 10, 48, 30)), 'unknown_id', 'no <name>'),
    ('<object><name>ant</name></object>', 'malformed_box', 'no <bndbox>')])
def test_voc_broken_object_is_skipped_with_its_line(voc, tmp_path, broken, kind, words):
    write_images(tmp_path / 'JPEGImages', 'a.jpg')
    text = xml('\n'.join([voc_object('ant', (16, 10, 48, 30))] * 12 + [broken]))
    dataset = voc(text, reading=Reading())
    assert len(dataset.labels[0].class_ids) == 12
    line, = dataset.findings.lines()[kind]
    assert 'a.xml: object 13' in line and 'line 13: ' in line and words in line
    with pytest.raises(DataError, match='a.xml: object 13.*line 13'):
        voc(text)


def test_debris_beside_xml_files_is_no_second_format(voc, tmp_path):
    write_images(tmp_path / 'JPEGImages', 'a.jpg')
    folder = tmp_path / 'Annotations'
    write_texts(folder, README='words', train='a', **{'README.roboflow': 'words'})
    (folder / '._a.xml').write_bytes(b'\0\5\x16\7')
    assert len(voc(xml(voc_object('ant', (16, 10, 48, 30))))) == 1
