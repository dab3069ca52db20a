# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""``benchmark --compared``: advice by what ``compare`` measured at each size."""

import json
from pathlib import Path

from lite_detector.bench.advice import choose
from lite_detector.bench.known_ap import ComparedAps
from lite_detector.bench.setting import Setting
from lite_detector.bench.sweep import ApOnImages, Latency, Row, Sweep
from lite_detector.bench.sweep_report import as_json
from lite_detector.cli import main
from lite_detector.core.errors import ConfigError
from lite_detector.core.model_card import load_card
from lite_detector.core.types import ImageSize
import pytest
from tiny_models import change_card, write_tiny_nanodet
import yaml

TITLE = 'coco/val.json'


def compared_row(model: str, side: int, ap: dict[str, float], precision: str = 'fp32',
                 resize: str = 'letterbox_rect') -> dict:
    """Return a row as the command ``compare`` writes it."""
    row = Row(Setting(model, ImageSize(side, side), resize, precision), None, Latency(9, 9, 9),
              None, {title: ApOnImages(value) for title, value in ap.items()})
    return as_json(Sweep(0, [row], {}, []), None)['rows'][0]


def write(path: Path, *rows: dict) -> Path:
    path.write_text(json.dumps({'rows': rows}))
    return path


def setting(model: str, side: int, precision: str = 'fp32', resize: str = 'letterbox_rect',
            height: int | None = None) -> Setting:
    return Setting(model, ImageSize(height or side, side), resize, precision, 1, 'passive')


@pytest.mark.parametrize(('content', 'words'), [
    (b'', 'expected a file of compare --json'),
    (b'{}', "'rows'; expected a file of compare --json"),
    (b'[{"model": "a", "side": 96, "resize": "x", "precision": "y", "ap": {"z": "high"}}]',
     'Expected `float`, got `str`'),
    (b'[{"model": "a"}]', 'expected a file of compare --json'),
    (b'[]', 'AP of no images; expected AP of one set'),
    (json.dumps({'rows': [compared_row('a', 96, {})]}).encode(), 'AP of no images; expected'),
    (json.dumps({'rows': [compared_row('a', 96, {'x': 1.0}),
                          compared_row('b', 96, {'y': 2.0})]}).encode(),
     'AP of x, y; expected AP of one set of images: run compare with one --annotations'),
    (b'\xff\xfe[{', 'expected a file of compare --json'),
    (None, 'No such file'),
])
def test_file_that_tells_no_ap_of_one_set_of_images_is_refused(tmp_path, content, words):
    path = tmp_path / 'compared.json'
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        ComparedAps(path)
    assert str(caught.value).startswith(f'{path}: ') and words in str(caught.value)


def test_ap_is_that_of_the_very_setting_and_fp32_stands_for_what_is_as_good(tmp_path):
    aps = ComparedAps(write(
        tmp_path / 'compared.json', compared_row('a', 256, {TITLE: 20.5}),
        compared_row('a', 320, {TITLE: 24.0}), compared_row('a', 320, {TITLE: 23.5}, 'bf16'),
        compared_row('a', 320, {TITLE: 22.0}, resize='stretch'), compared_row('a', 416, {})))
    assert aps.title == TITLE
    assert aps.ap_of(setting('a', 256)) == 20.5
    assert aps.ap_of(setting('a', 320)) == 24.0
    assert aps.ap_of(setting('a', 320, 'bf16')) == 23.5
    assert aps.ap_of(setting('a', 320, 'auto')) == 24.0
    assert aps.ap_of(setting('a', 320, resize='stretch')) == 22.0
    for unknown in (setting('a', 320, 'int8'), setting('a', 416), setting('b', 256),
                    setting('a', 320, height=256), setting('a', 256, resize='stretch')):
        assert aps.ap_of(unknown) is None


def test_a_list_of_flat_rows_is_read_as_well(tmp_path):
    path = tmp_path / 'compared.json'
    path.write_text(json.dumps([
        {'model': 'a', 'side': 256, 'resize': 'letterbox_rect', 'precision': 'fp32', 'ms': 9.5,
         'cpu_ms': 9.4, 'ratio': 1.0, 'ap': {TITLE: 20.5}, 'ap_by_size': {}, 'difference': {}}]))
    assert ComparedAps(path).ap_of(setting('a', 256)) == 20.5
    assert str(ComparedAps(path)) == 'a at 256x256'


def test_advice_at_a_smaller_size_uses_the_ap_at_that_size(tmp_path):
    # at its own size a is better, at 64 pixels b is: its card cannot tell that
    folder, cards = write_tiny_nanodet(tmp_path / 'some'), {}
    for name, ap, images in (('a', 30, 88), ('b', 25, 300)):
        change_card(folder, 'name', name)
        change_card(folder, 'metrics', {'annotations': 'val.json', 'images': images, 'ap': ap})
        cards[name] = load_card(folder)
    aps = ComparedAps(write(
        tmp_path / 'compared.json', compared_row('a', 64, {TITLE: 15.0}),
        compared_row('b', 64, {TITLE: 19.0}), compared_row('a', 96, {TITLE: 18.0})))
    rows = [Row(each, aps.ap_of(each), Latency(5, 5, 5), None) for each in
            (setting('a', 64), setting('b', 64), setting('a', 96), setting('b', 128))]
    assert choose(Sweep(0, rows, {}, []), cards, 10, same_images=True) is rows[1]
    # without the file nothing is comparable, and the largest input is taken
    assert choose(Sweep(0, rows, {}, []), cards, 10) is rows[3]


@pytest.fixture
def sweep(tiny_nanodet, tmp_path) -> list[str]:
    return ['benchmark', '--model', str(tiny_nanodet), '--seconds', '0.01', '--image-size',
            '96x64', '--precision', 'auto', '--size', '64', '96', '--compared',
            str(tmp_path / 'compared.json')]


def test_benchmark_chooses_by_the_file(sweep, tmp_path, capsys):
    write(tmp_path / 'compared.json', compared_row('tiny_nanodet', 64, {TITLE: 19.0}),
          compared_row('tiny_nanodet', 96, {TITLE: 11.0}))
    output = tmp_path / 'params.yaml'
    assert main([*sweep, '--budget-ms', '1e6', '--output', str(output)]) == 0
    out = capsys.readouterr().out
    assert f'AP on {TITLE}, from {tmp_path / "compared.json"}\n' in out and '| 19.0 |' in out
    assert yaml.safe_load(output.read_text())['/**/detector']['ros__parameters'][
        'input_size'] == 64


def test_benchmark_says_what_the_file_does_not_tell(sweep, tmp_path, capsys, one_line_error):
    path = write(tmp_path / 'compared.json', compared_row('tiny_nanodet', 64, {TITLE: 19.0}))
    assert main(sweep) == 0
    assert '; no AP for 1 of 2 settings' in capsys.readouterr().out
    write(path, compared_row('other', 320, {TITLE: 1.0}), compared_row('other', 96, {TITLE: 1.0}))
    assert one_line_error(sweep) == (
        f'error: {path}: AP of other at 320x320 96x96; expected AP of a setting to measure, such '
        'as tiny_nanodet at 64x64, letterbox_rect, auto, threads 1')


def test_benchmark_of_one_setting_has_no_use_for_the_file(tiny_nanodet, one_line_error):
    assert '--compared: one setting; expected several' in one_line_error(
        ['benchmark', '--model', str(tiny_nanodet), '--compared', 'absent.json'])
