# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The YAML file of a training run."""

from pathlib import Path

from lite_detector.cli import main
from lite_detector.core.errors import ConfigError
from lite_detector.train.config.distill import DistillSpec
from lite_detector.train.config.model import ANY_BACKBONE, VARIANTS
from lite_detector.train.config.training import dump_config, first_difference, load_config
import pytest
import yaml

CONFIGS = sorted((Path(__file__).resolve().parents[3] / 'config' / 'train').glob('*.yaml'))
NANODET = next(path for path in CONFIGS if path.stem == 'nanodet_m_320')


def names_itself(path: Path) -> bool:
    config = load_config(path)
    return (config.network.name == path.stem
            and str(config.network.input_size.height) in path.stem
            and config.card(('cat', 'dog')).class_names == ('cat', 'dog')
            and config.model_spec(2).num_classes == 2
            and config.loss.of(config.network.family) is not None)


def missing_keys(path: Path) -> list[str]:
    """Return the keys that a file leaves to their defaults, with their sections."""
    data, config = yaml.safe_load(path.read_text()), load_config(path)
    family = config.network.family
    assert set(data['loss']) == {family}
    sections = {'': (data, config), 'loss': (data['loss'][family], config.loss.of(family)),
                **{name: (data[name], getattr(config, name)) for name in
                   ('network', 'data', 'start', 'optimizer', 'schedule', 'ema', 'augment',
                    'validation')}}
    # only YOLOv5 finds anchors; some have a fixed backbone; the recipe is filled in
    optional = {'recipe'} | ({'auto_anchor'} if family != 'yolov5_lite' else set()) | (
        {'backbone'} if family not in ANY_BACKBONE else set())
    return [f'{name}.{key}' for name, (keys, struct) in sections.items()
            for key in set(struct.__struct_fields__) - set(keys) - optional]


def with_distillation(path: Path, folder: Path) -> Path:
    """Write a file whose commented example of distillation is switched on."""
    off, comment, rest = path.read_text().partition('distill: null  #')
    lines = [line.removeprefix('#') for line in rest.split('\n\n', 1)[0].splitlines()[1:]]
    example = folder / path.name
    example.write_text('\n'.join((off + 'distill:', *lines, rest.split('\n\n', 1)[1])))
    return example


def survives_being_written(path: Path, folder: Path) -> bool:
    config = load_config(path, ['phases.0.epochs=3', 'start.freeze=[backbone]'])
    (folder / path.name).write_text(dump_config(config))
    return load_config(folder / path.name) == config


def test_every_shipped_config_loads_and_names_itself():
    assert not [path.stem for path in CONFIGS if not names_itself(path)]


def test_every_shipped_config_says_every_key():
    missing = {path.stem: missing_keys(path) for path in CONFIGS}
    assert not {stem: keys for stem, keys in missing.items() if keys}


def test_commented_example_of_distillation_is_the_default(tmp_path):
    assert not [path.stem for path in CONFIGS if load_config(path).distill is not None]
    examples = [with_distillation(path, tmp_path) for path in CONFIGS]
    assert not [path.stem for path in examples
                if load_config(path).distill != DistillSpec(teacher='large.pt')]


def test_every_shipped_config_survives_being_written(tmp_path):
    assert not [path.stem for path in CONFIGS if not survives_being_written(path, tmp_path)]


def test_a_config_for_each_family_and_variant_that_is_published():
    networks = {(config.network.family, config.network.variant)
                for config in map(load_config, CONFIGS)}
    assert networks == {('nanodet', '0.5x'), ('nanodet', '1.0x'), ('nanodet', '1.5x'),
                        ('nanodet_plus', 'm-coarse'), ('nanodet_plus', 'm-0.5x'),
                        ('nanodet_plus', 'm'), ('nanodet_plus', 'm-1.5x'),
                        ('yolov5_lite', 'e'), ('yolov5_lite', 's'),
                        ('yolof', '0.5x'), ('yolof', '0.5x-dc5'), ('yolof', '1.0x'),
                        ('yolof', '1.0x-dc5'), ('yolof', '1.5x-dc5'),
                        *(('damo_yolo', variant) for variant in VARIANTS['damo_yolo'])}


def test_sizes_that_a_network_cannot_take_are_refused():
    coarse = next(path for path in CONFIGS if path.stem == 'nanodet_plus_m_coarse_320')
    for change in ('network.input_size.height=352',
                   'phases.0.input_size={height: 320, width: 416}'):
        with pytest.raises(ConfigError, match=r'input_size: \d+x\d+; expected multiples of 64'):
            load_config(coarse, [change])


def test_command_line_changes_values_lists_and_absent_sections():
    config = load_config(NANODET, ['optimizer.learning_rate=0.002', 'phases.0.epochs=7',
                                   'phases.0.input_size.height=640',
                                   'phases.0.input_size.width=416', 'ema=null',
                                   'data.train=a=b.json'])
    assert config.optimizer.learning_rate == 0.002
    assert config.phases[0].epochs == config.epochs == 7
    assert tuple(config.phases[0].input_size.__getattribute__(side)
                 for side in ('height', 'width')) == (640, 416)
    assert config.ema is None
    assert config.data.train == 'a=b.json'


@pytest.mark.parametrize(('change', 'words'), [
    ('optimizer.learning_rat=1', r'\$\.optimizer: Object contains unknown field'),
    ('optimizer.learning_rate=fast', r'\$\.optimizer\.learning_rate: Expected `float`'),
    ('optimizer.learning_rate=-1', r'\$\.optimizer\.learning_rate'),
    ('network.input_size.height=100', r'\$\.network\.input_size\.height'),
    ('network.variant=9x', "family nanodet has no variant '9x'; expected one of 0.5x"),
    ('network.decode.reg_max=null', 'family nanodet needs decode.reg_max'),
    ('network.decode.score_activation=none', "score_activation: 'none'; expected 'sigmoid'"),
    ('start={checkpoint: a.pt, backbone: b.pt}', 'both checkpoint and backbone; expected at most'),
    ('phases=[]', r'\$\.phases'),
    ('phases.3.epochs=1', "no key '3'"),
    ('phases.first.epochs=1', "no key 'first'"),
    ('seed.x=1', "no key 'x'"),
    ('distill.features.kind=pixels', r'\$\.distill\.features\.kind'),
    ('distill.features.kind=cwd', r'\$\.distill: Object missing required field `teacher`'),
    ('distill={teacher: x.pt, features: null}', 'expected at least one of them'),
    ('distill={teacher: x.pt, heads: {}, input_size: {height: 32, width: 32}}',
     'remove input_size or use zoom'),
    ('augment.scale=[2, 1]', 'scale: 2.0 to 1.0'),
    ('seed=[', 'the value is not valid YAML'),
    ('learning_rate', 'expected dotted.key=value'),
    ('=3', 'expected dotted.key=value'),
])
def test_mistake_is_answered_with_its_key(change, words):
    with pytest.raises(ConfigError, match=words):
        load_config(NANODET, [change])


def test_int8_fine_tuning_is_refused_and_its_null_ignored():
    with pytest.raises(ConfigError, match=r'\$\.quantize: int8 fine-tuning was removed'):
        load_config(NANODET, ['quantize={}'])
    assert load_config(NANODET, ['quantize=null']) == load_config(NANODET)


def test_changes_may_stand_before_and_after_the_options(capsys, tmp_path):
    assert main(['train', 'seed=1', '--config', str(NANODET), 'seed=2', '--output',
                 str(tmp_path / 'x'), 'seed=wrong']) == 2
    assert '$.seed: Expected `int`' in capsys.readouterr().err


def test_train_without_a_config_says_what_to_give(capsys, tmp_path):
    assert main(['train', '--output', str(tmp_path / 'x')]) == 2
    assert 'error: --config: missing; expected a configuration' in capsys.readouterr().err


@pytest.mark.parametrize(('first', 'second', 'found'), [
    ({}, {}, None),
    ({'a': [1, 2]}, {'a': [1, 2]}, None),
    ({'a': [1, 2]}, {'a': [1, 3]}, '$.a[1]: 2, 3'),
    ({'a': [1, 2]}, {'a': [1]}, '$.a: [1, 2], [1]'),
    ({'a': {'b': None}}, {'a': {'b': 0}}, '$.a.b: None, 0'),
    ({'a': 1}, {}, '$.a: 1, None'),
])
def test_first_difference_names_the_key(first, second, found):
    assert first_difference(first, second) == found
