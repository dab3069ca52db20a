# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The command ``compare``; no test looks at how long anything took."""

import json
from pathlib import Path

import cv2
from lite_detector.cli import main
from lite_detector.commands import compare
from lite_detector.core.errors import DataError
from lite_detector.core.model_card import load_card
from lite_detector.data.coco import CocoCategory, CocoDataset, CocoImage
from lite_detector.evaluation.comparison import (
    labelled_images,
    Measured,
    pareto_front,
    Setting,
    settings_of,
)
from lite_detector.evaluation.comparison_report import draw_comparison, markdown
import pytest
from tiny_models import change_card, square_image, write_tiny_nanodet


@pytest.fixture(autouse=True)
def coco_eval():
    # inside a test: a skip of the whole module would trip the pytest plugin of launch_testing
    pytest.importorskip('faster_coco_eval')


def write_labels(folder: Path, *categories: str) -> list[str]:
    """Write an image with a blue square that is labelled; return the options for it."""
    folder.mkdir()
    cv2.imwrite(str(folder / 'a.png'), square_image(64, 96, 32, 32, (255, 0, 0)))
    (folder / 'labels.json').write_text(json.dumps({
        'images': [{'id': 1, 'file_name': 'a.png', 'height': 64, 'width': 96}],
        'annotations': [{'id': 1, 'image_id': 1, 'category_id': 0, 'bbox': [32, 32, 32, 32]}],
        'categories': [{'id': index, 'name': name} for index, name in enumerate(categories)]}))
    return ['--annotations', str(folder / 'labels.json'), '--images', str(folder)]


@pytest.fixture
def options(tiny_nanodet, tmp_path) -> list[str]:
    change_card(tiny_nanodet, 'name', 'wide')
    narrow = write_tiny_nanodet(tmp_path / 'narrow', num_classes=1)
    change_card(narrow, 'name', 'narrow')
    return ['compare', '--models', str(tiny_nanodet), str(narrow), '--seconds', '0.001',
            '--image-size', '96x64', *write_labels(tmp_path / 'both', 'object0', 'object1')]


def made(**points: tuple[float | None, float | None]) -> dict[Setting, Measured]:
    """Return name=(ms, ap) as results."""
    return {Setting(name, 320, 'stretch', 'fp32'): Measured(
        ms, ms, ms and ms / 10, {} if ap is None else {'x': ap})
        for name, (ms, ap) in points.items()}


@pytest.mark.parametrize(('points', 'front'), [
    ({}, ''),
    ({'a': (None, 5.0), 'b': (3.0, None)}, ''),
    ({'a': (10.0, 20.0)}, 'a'),
    # b is slower and worse than a, d as fast as c and worse, e as good as c and slower
    ({'e': (21, 30), 'd': (20, 29), 'c': (20, 30), 'b': (11, 19), 'a': (10, 20)}, 'ac'),
    ({'a': (10, 20), 'b': (10, 20)}, 'a'),
], ids=lambda value: value if isinstance(value, str) else '')
def test_pareto_front_holds_what_no_other_beats(points, front):
    assert ''.join(each.model for each in pareto_front(made(**points), 'x')) == front


def coco(*names: str) -> CocoDataset:
    return CocoDataset((CocoImage(1, 'a.png', 64, 64),), (),
                       tuple(CocoCategory(index, name) for index, name in enumerate(names)))


def test_models_are_compared_that_know_most_of_the_classes():
    known = {'coco': ['person', 'cat', 'dog'], 'person': ['person'], 'pets': ['dog', 'cat'],
             'cells': ['cell']}
    one = labelled_images('people', coco('person'), Path(), known)
    assert one.title == 'person, 1 images of people'
    assert (one.models, one.left_out) == (('coco', 'person'), ('pets', 'cells'))
    # none knows the bird: it is measured by nobody
    more = labelled_images('zoo', coco('person', 'cat', 'dog', 'bird'), Path(), known)
    assert more.title.startswith('3 classes, ')
    assert (more.models, more.left_out) == (('coco',), ('person', 'pets', 'cells'))
    # as many, but others
    assert labelled_images('x', coco('person', 'cell'), Path(),
                           {'a': ['person'], 'b': ['cell']}).models == ('a',)
    with pytest.raises(DataError, match='x: no model has a class of that name: bird'):
        labelled_images('x', coco('bird'), Path(), known)


def test_settings_add_stretch_where_the_card_says_so(tiny_nanodet):
    assert len(settings_of(load_card(tiny_nanodet), [256, 320], [], ['fp32', 'bf16'])) == 8
    change_card(tiny_nanodet, 'preprocess.resize', 'stretch')
    card = load_card(tiny_nanodet)
    assert [each.resize for each in settings_of(card, [256], [], ['fp32'])] == [
        'letterbox_rect', 'letterbox_square', 'stretch']
    assert settings_of(card, [64], ['stretch'], ['bf16']) == [
        Setting('tiny_nanodet', 64, 'stretch', 'bf16')]


def test_compare_measures_each_model_on_what_it_knows(options, tmp_path, capsys):
    figures, table = tmp_path / 'figures.json', tmp_path / 'table.md'
    options += write_labels(tmp_path / 'one', 'object0')
    assert main([*options, '--sizes', '64', '96', '--json', str(figures),
                 '--markdown', str(table), '--reference', 'wide']) == 0
    rows = json.loads(figures.read_text())
    assert len(rows) == 2 * 2 * 2 * 2
    both, one = '2 classes, 1 images of both/labels.json', 'object0, 1 images of one/labels.json'
    for row in rows:
        assert row['ms'] > 0 and row['cpu_ms'] > 0
        assert set(row['ap']) == ({both, one} if row['model'] == 'wide' else {one})
    # at 96 x 96 the image is as it was; the square is found
    found, = [row for row in rows if row['model'] == 'wide' and row['side'] == 96
              and (row['resize'], row['precision']) == ('letterbox_rect', 'fp32')]
    assert found['ap'] == {both: 100, one: 100}
    assert found['ratio'] == 1
    # 32 x 32 pixels are the limit, and COCO counts them on both sides of it
    assert found['ap_by_size'][one] == [100, 100, None]
    text = table.read_text()
    assert text.count('**100.0** (100.0 / 100.0 / -)') > 0
    assert f'## {both}' in text
    assert 'know fewer of these classes: narrow.' in text
    assert 'to wide at 96, letterbox_rect, fp32' in text
    assert '| narrow | 96 | letterbox_rect | fp32 |' in text
    assert 'no other setting is as fast and as good' in capsys.readouterr().out


def test_compare_reports_the_paired_difference_to_the_reference(options, tmp_path, capsys):
    figures, table = tmp_path / 'figures.json', tmp_path / 'table.md'
    options = [*options, '--sizes', '64', '96', '--precisions', 'fp32', '--json', str(figures),
               '--markdown', str(table), '--reference', 'wide', '--resizes', 'letterbox_rect']
    assert main(options) == 0
    rows = {row['side']: row for row in json.loads(figures.read_text()) if row['model'] == 'wide'}
    title, = rows[64]['ap']
    lost = rows[64]['ap'][title] - rows[96]['ap'][title]
    assert lost < 0
    # one image: each draw is this image, and the interval is a point
    assert rows[64]['difference'] == {title: [lost] * 3}
    assert rows[96]['difference'] == {}
    words = f'{lost:+.1f} [{lost:+.1f}, {lost:+.1f}]'
    out = capsys.readouterr().out
    assert 'AP minus that of wide at 96, letterbox_rect, fp32, 95 % interval' in out
    assert f'{words}  wide at 64, letterbox_rect, fp32' in out
    assert f'), {words} |' in table.read_text()
    assert main([*options, '--draws', '0']) == 0
    assert all(row['difference'] == {} for row in json.loads(figures.read_text()))


def test_sizes_between_the_steps_of_a_coarse_network_are_left_out(tiny_nanodet, capsys):
    change_card(tiny_nanodet, 'input_size.width', 128)
    change_card(tiny_nanodet, 'decode.strides', [16, 32, 64])
    card = load_card(tiny_nanodet)
    assert compare.fitting_sizes(card, [256, 320, 352, 416]) == [256, 320]
    assert capsys.readouterr().out == (
        'tiny_nanodet: not at 352, 416, which are no multiples of 64\n')
    # refused when the network is opened: none fits, or one that fits no network at all
    assert compare.fitting_sizes(card, [352, 416]) == [352, 416]
    assert compare.fitting_sizes(card, [256, 300]) == [256, 300]


def test_compare_keeps_what_was_measured_before_it_was_cut_short(options, tmp_path, monkeypatch):
    figures, table = tmp_path / 'figures.json', tmp_path / 'table.md'
    options += write_labels(tmp_path / 'one', 'object0')
    measured = compare.measure_ap

    def measure_twice(group, images, progress, draws):
        if next(iter(group)).model == 'wide' and images.title.startswith('object0'):
            raise KeyboardInterrupt
        return measured(group, images, progress, draws)
    monkeypatch.setattr(compare, 'measure_ap', measure_twice)
    assert main([*options, '--sizes', '96', '--precisions', 'fp32', '--json', str(figures),
                 '--markdown', str(table)]) == 130
    aps = {(row['model'], len(row['ap'])) for row in json.loads(figures.read_text())}
    assert aps == {('wide', 1), ('narrow', 1)}
    assert table.read_text().count('100.0') > 1


def test_compare_draws_a_panel_for_each_data(options, tmp_path):
    pytest.importorskip('matplotlib')
    picture = tmp_path / 'ap.png'
    options += write_labels(tmp_path / 'one', 'object0')
    assert main([*options, '--sizes', '64', '96', '--plot', str(picture),
                 '--markdown', str(tmp_path / 'table.md')]) == 0
    assert cv2.imread(str(picture)).std() > 1
    assert '(ap.png)' in (tmp_path / 'table.md').read_text()


def test_the_figure_names_every_model_and_sizes_of_the_card(tmp_path):
    pytest.importorskip('matplotlib')
    results = made(a=(10, 20), b=(11, 30), _c=(12, None))
    results[Setting('a', 256, 'stretch', 'bf16')] = Measured(9, 9, 0.9, {'x': 19})
    images = [labelled_images('d', coco('cat'), Path(), {'a': ['cat']})._replace(title=title)
              for title in ('x', 'nobody')]
    figure = draw_comparison(results, images, dict.fromkeys(('a', 'b', '_c'), 'stretch'))
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ['a', 'b', 'c', 'stretch', 'fp32', 'bf16', 'Pareto front']
    full, empty = figure.axes
    assert [text.get_text() for text in full.texts] == ['320', '320']
    assert [text.get_text() for text in empty.texts] == ['nothing was measured']
    text = '\n'.join(markdown(results, images, next(iter(results))))
    assert '| b | 320 | stretch | fp32 | 11.0 | 1.10 | **30.0** | - |' in text
    assert '| _c | 320 | stretch | fp32 | 12.0 | 1.20 | - | - |' in text


@pytest.mark.parametrize(('more', 'message'), [
    (['--sizes', '100'], 'input size 100x100: $.height'),
    (['--seconds', '0'], '--seconds: got 0, wanted more than 0'),
    (['--images', '.'], '--images: got 2 folders for 1 annotations'),
    (['--reference', 'other'], "--reference: got 'other', wanted one of narrow, wide"),
    (['--threads', '0'], 'num_threads: got 0'),
    (['--models', 'absent'], "model 'absent' not found"),
    (['--plot', '/absent/a.png'], '/absent/a.png: cannot write'),
    (['--plot', 'front.bmp'], "--plot: got 'front.bmp', wanted a file that ends in .png, .svg"),
    (['--plot', 'front'], "--plot: got 'front', wanted a file that ends in"),
    (['--draws', '-1'], '--draws: -1; expected 0 or more'),
    (['--precisions', 'fp64'], "invalid choice: 'fp64'"),
])
def test_compare_with_a_wrong_option_exits_2_with_one_line(options, more, message, one_line_error):
    assert message in one_line_error([*options, *more])


def test_compare_without_any_weights_says_how_to_get_some(options, monkeypatch, capsys):
    del options[1:4]
    monkeypatch.setattr(compare, 'list_models', dict)
    assert main(options) == 2
    assert 'no model in reach has weights' in capsys.readouterr().err


def test_compare_refuses_two_models_of_one_name(options, tmp_path, capsys):
    change_card(tmp_path / 'narrow', 'name', 'wide')
    assert main(options) == 2
    assert "both named 'wide'" in capsys.readouterr().err
