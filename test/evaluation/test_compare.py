# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The command ``compare``; no test looks at how long anything took."""

import json
from pathlib import Path

import cv2
from lite_detector.bench import sweep
from lite_detector.cli import main
from lite_detector.commands import compare
from lite_detector.core.errors import DataError
from lite_detector.data.coco import CocoCategory, CocoDataset, CocoImage
from lite_detector.evaluation.comparison import labelled_images
import pytest
from tiny_models import change_card, square_image, write_tiny_nanodet
import yaml


@pytest.fixture(autouse=True)
def coco_eval(monkeypatch):
    # inside a test: a skip of the whole module would trip the pytest plugin of launch_testing
    pytest.importorskip('faster_coco_eval')
    monkeypatch.setattr(sweep, 'MIN_TURNS', 2)


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
    return ['compare', '--model', str(tiny_nanodet), str(narrow), '--seconds', '0.001',
            '--image-size', '96x64', *write_labels(tmp_path / 'both', 'object0', 'object1')]


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
    with pytest.raises(DataError, match='x: no model has one of these classes: bird'):
        labelled_images('x', coco('bird'), Path(), known)


def rows_of(path: Path) -> dict[tuple[str, ...], dict]:
    """Return the rows of a file by model, size, resize and precision."""
    return {tuple(row['setting'][key] for key in ('model', 'input_size', 'resize', 'precision')):
            row for row in json.loads(path.read_text())['rows']}


def test_compare_measures_each_model_on_what_it_knows(options, tmp_path, capsys):
    figures, table = tmp_path / 'figures.json', tmp_path / 'table.md'
    options += write_labels(tmp_path / 'one', 'object0')
    assert main([*options, '--size', '64', '96', '--json', str(figures),
                 '--markdown', str(table), '--reference', 'wide']) == 0
    rows = rows_of(figures)
    assert len(rows) == 2 * 2 * 2 * 2
    both, one = '2 classes, 1 images of both/labels.json', 'object0, 1 images of one/labels.json'
    for (model, *_), row in rows.items():
        assert row['idle']['wall_ms'] > 0 and row['idle']['cpu_ms'] > 0
        assert set(row['ap_on']) == ({both, one} if model == 'wide' else {one})
    # at 96 x 96 the image is as it was; the square is found
    found = rows['wide', '96x96', 'letterbox_rect', 'fp32']
    assert [found['ap_on'][title]['ap'] for title in (both, one)] == [100, 100]
    assert found['ap'] == 100  # of the first --annotations
    assert found['idle']['ratio'] == 1
    # 32 x 32 pixels are the limit, and COCO counts them on both sides of it
    assert found['ap_on'][one]['by_size'] == [100, 100, None]
    text = table.read_text()
    assert '**100.0** (100.0 / 100.0 / -)' in text and '(96x64.png)' not in text
    assert f'## {both}' in text
    assert 'have fewer of these classes: narrow.' in text
    assert 'to wide at 96x96, letterbox_rect, fp32, threads 1; ratio' in text
    assert '| narrow | 96x96 | letterbox_rect   | fp32 ' in text
    out = capsys.readouterr().out
    assert 'Pareto-optimal settings' in out and f'## {one}' in out


def test_compare_reports_the_paired_difference_to_the_reference(options, tmp_path, capsys):
    figures, table = tmp_path / 'figures.json', tmp_path / 'table.md'
    options = [*options, '--size', '64', '96', '--precision', 'fp32', '--json', str(figures),
               '--markdown', str(table), '--reference', 'wide', '--resize', 'letterbox_rect']
    assert main(options) == 0
    small, large = (found for (model, *_), row in rows_of(figures).items() if model == 'wide'
                    for found in row['ap_on'].values())
    lost = small['ap'] - large['ap']
    assert lost < 0
    # one image: each draw is this image, and the interval is a point
    assert small['difference'] == [lost] * 3
    assert large['difference'] is None
    words = f'{lost:+.1f} [{lost:+.1f}, {lost:+.1f}]'
    assert f'), {words} ' in capsys.readouterr().out and f'), {words} ' in table.read_text()
    assert main([*options, '--draws', '0']) == 0
    assert all(found['difference'] is None for row in rows_of(figures).values()
               for found in row['ap_on'].values())


def test_compare_chooses_for_a_budget_by_the_ap_that_it_measured(options, tmp_path, capsys):
    output = tmp_path / 'params.yaml'
    assert main([*options, '--size', '64', '96', '--precision', 'fp32', '--budget-ms', '1e6',
                 '--output', str(output), '--resize', 'letterbox_rect', '--threads', '1', '2'
                 ]) == 0
    parameters = yaml.safe_load(output.read_text())['/**/detector']['ros__parameters']
    assert (parameters['model'], parameters['input_size']) == (options[2], 96)
    assert 'Measured by `lite_detector compare` with 0 busy processes: ' in output.read_text()
    assert 'For a budget of 1e+06 ms: wide at 96x96' in capsys.readouterr().out


def test_plural_options_work_with_a_warning(options, tmp_path, capsys):
    figures = tmp_path / 'figures.json'
    options[options.index('--model')] = '--models'
    assert main([*options, '--sizes', '96', '--resizes', 'stretch', '--precisions', 'fp32',
                 '--json', str(figures)]) == 0
    assert list(rows_of(figures)) == [(model, '96x96', 'stretch', 'fp32')
                                      for model in ('wide', 'narrow')]
    assert capsys.readouterr().err.splitlines() == [
        f'warning: --{name}s: deprecated; use --{name}'
        for name in ('model', 'size', 'resize', 'precision')]


def test_compare_keeps_what_was_measured_before_it_was_cut_short(options, tmp_path, monkeypatch):
    figures, table = tmp_path / 'figures.json', tmp_path / 'table.md'
    options += ['--reference', 'narrow', *write_labels(tmp_path / 'one', 'object0')]
    measured = compare.measure_ap

    def measure_twice(group, images, progress, draws):
        if next(iter(group)).model == 'wide' and images.title.startswith('object0'):
            raise KeyboardInterrupt
        return measured(group, images, progress, draws)
    monkeypatch.setattr(compare, 'measure_ap', measure_twice)
    assert main([*options, '--size', '96', '--precision', 'fp32', '--json', str(figures),
                 '--markdown', str(table)]) == 130
    aps = {(model, len(row['ap_on'])) for (model, *_), row in rows_of(figures).items()}
    assert aps == {('wide', 1), ('narrow', 1)}
    assert table.read_text().count('100.0') > 1


def test_compare_draws_a_panel_for_each_data(options, tmp_path):
    pytest.importorskip('matplotlib')
    picture = tmp_path / 'ap.png'
    options += write_labels(tmp_path / 'one', 'object0')
    assert main([*options, '--size', '64', '96', '--plot', str(picture),
                 '--markdown', str(tmp_path / 'table.md')]) == 0
    assert cv2.imread(str(picture)).std() > 1
    assert '(ap.png)' in (tmp_path / 'table.md').read_text()


@pytest.mark.parametrize(('more', 'message'), [
    (['--size', '100'], 'input size 100x100: $.height'),
    (['--seconds', '0'], '--seconds: 0; expected more than 0'),
    (['--images', '.'], '--images: 2 folders for 1 annotations; expected'),
    (['--reference', 'other'], "--reference: 'other'; expected one of wide, narrow"),
    (['--threads', '0'], 'num_threads: 0'),
    (['--model', 'absent'], "model 'absent' not found"),
    (['--plot', '/absent/a.png'], '/absent/a.png: cannot write'),
    (['--plot', 'front.bmp'], "--plot: 'front.bmp'; expected a file with suffix .png, .svg"),
    (['--plot', 'front'], "--plot: 'front'; expected a file with suffix"),
    (['--draws', '-1'], '--draws: -1; expected 0 or more'),
    (['--output', 'params.yaml'], '--output: no budget; expected --budget-ms'),
    (['--precision', 'fp64'], "invalid choice: 'fp64'"),
])
def test_compare_with_a_wrong_option_exits_2_with_one_line(options, more, message, one_line_error):
    assert message in one_line_error([*options, *more])


def test_compare_without_any_weights_says_how_to_get_some(options, monkeypatch, capsys):
    del options[1:4]
    monkeypatch.setattr(compare, 'list_models', dict)
    assert main(options) == 2
    assert 'no installed model has weights' in capsys.readouterr().err


def test_compare_refuses_two_models_of_one_name(options, tmp_path, capsys):
    change_card(tmp_path / 'narrow', 'name', 'wide')
    assert main(options) == 2
    assert "both named 'wide'" in capsys.readouterr().err
