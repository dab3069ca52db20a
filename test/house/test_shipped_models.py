# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Every model that the package ships with weights is small, whole, and can be made again."""

from pathlib import Path

from lite_detector.core.model_card import checked_files, load_card, ModelCard
from lite_detector.detector import Detector, Selection
from lite_detector.export.parity import count_unmatched
from lite_detector.export.sample_images import sample_images
from lite_detector.train.config.training import load_config
from lite_detector.zoo import find_config, has_weights
import pytest

MODELS = Path(__file__).resolve().parents[2] / 'models'
SHIPPED = sorted(card.parent for card in MODELS.glob('*/card.yaml') if has_weights(card.parent))
MAX_RUNTIME_BYTES, MAX_BYTES = 6_000_000, 32_000_000
"""Of what a robot loads, ncnn or ONNX; of all files of all models."""
MAX_INT8_LOSS = 0.5
"""AP that the int8 form of a shipped model may lose on the selection set, in percent points."""
TRAINING = ('config', 'data', 'teacher', 'start', 'seed', 'commit', 'epochs', 'chosen')
METRICS = ('annotations', 'ap', 'ap50', 'images', 'runtime')


@pytest.fixture(params=SHIPPED or [None], ids=lambda folder: folder.name if folder else 'none')
def folder(request) -> Path:
    """Return the folder of each model in turn."""
    if request.param is None:
        pytest.skip('models/ holds only cards of public weights, no weights of its own')
    return request.param


def require_origin(card: ModelCard) -> None:
    """Check that a card describes the training, accuracy and parity of its model."""
    sections = (('training', card.training, TRAINING), ('metrics', card.metrics, METRICS),
                ('parity', card.parity, ('images', 'ncnn', 'onnx')))
    missing = [f'{name}.{key}' for name, section, keys in sections for key in keys
               if section.get(key) in (None, '', {})]
    assert not missing
    assert 'train' in card.training['data']
    sources = [each for told in card.training['data'].values()
               for each in (told if isinstance(told, list) else [told])]
    for each in sources:
        assert each['images'] > 0 and each['boxes'] > 0
        assert not Path(each['annotations']).is_absolute()


def require_whole(folder: Path, card: ModelCard) -> None:
    """Check that both runtimes are there, and that every file is the one of the card."""
    assert card.name == folder.name
    named = {'card.yaml', 'README.md'}
    for runtime in ('ncnn', 'onnx'):
        files = card.runtime_files(runtime)
        assert set(files.sha256) == set(files.files())
        checked_files(folder, files)
        named |= set(files.files().values())
    if card.runtimes.ncnn.int8 is not None:
        files = card.int8_files()
        checked_files(folder, files)
        named |= set(files.files().values())
    assert {path.name for path in folder.iterdir()} <= named


def test_shipped_model_is_whole(folder):
    require_whole(folder, load_card(folder))


def test_int8_form_of_shipped_model_loses_little(folder):
    card = load_card(folder)
    if card.runtimes.ncnn.int8 is None:
        pytest.skip(f'{card.name} has no int8 form')
    assert card.quantization['metrics']['loss'] <= MAX_INT8_LOSS


def test_shipped_model_beats_its_start(folder):
    training = load_card(folder).training
    if 'selection set' not in training['chosen']:
        pytest.skip(f'{folder.name} was trained before there was a selection set')
    assert training['gain'] > 0
    assert training['data']['select']['images'] > 0
    # once for the weights, and once more for each later change of the resize mode
    assert training['report_measured'] in (1, 2, 3)


def test_shipped_model_can_be_made_again(folder):
    card = load_card(folder)
    require_origin(card)
    config = find_config(card.training['config'])
    assert config.parent.name == 'ship'


def test_config_of_shipped_model_is_of_this_network(folder):
    card = load_card(folder)
    network = load_config(find_config(card.training['config'])).network
    assert (network.name, network.family) == (card.name, card.family)
    assert (network.input_size, network.preprocess) == (card.input_size, card.preprocess)


def test_shipped_model_finds_the_same_in_both_runtimes(folder):
    pytest.importorskip('onnxruntime')
    source, images = sample_images()
    if not source.startswith('photographs'):
        pytest.skip('no photographs: scikit-image is not installed')
    in_ncnn, in_onnx = (Detector.from_folder(folder, runtime=runtime, precision='fp32',
                                             selection=Selection(score_threshold=0.25))
                        for runtime in ('ncnn', 'onnx'))
    found = [(in_ncnn.detect(image), in_onnx.detect(image)) for image in images]
    assert sum(len(each) for each, _ in found) > 0
    # as export allows: where two boxes score alike, NMS may keep either
    assert sum(max(count_unmatched(first, second), count_unmatched(second, first))
               for first, second in found) <= 1


def test_shipped_model_is_small(folder):
    card = load_card(folder)
    for runtime in ('ncnn', 'onnx'):
        files = card.runtime_files(runtime).files().values()
        assert sum((folder / name).stat().st_size for name in files) < MAX_RUNTIME_BYTES


def test_shipped_models_together_are_small():
    if not SHIPPED:
        pytest.skip('models/ holds only cards of public weights, no weights of its own')
    assert sum(path.stat().st_size for folder in SHIPPED
               for path in folder.iterdir()) < MAX_BYTES


def test_readme_of_the_models_names_each():
    text = (MODELS / 'README.md').read_text()
    assert not [path.name for path in SHIPPED if f'`{path.name}`' not in text]


def test_a_card_without_its_origin_is_noticed(tiny_nanodet):
    with pytest.raises(AssertionError, match=r'training\.config'):
        require_origin(load_card(tiny_nanodet))


def test_a_file_without_a_sha256_is_noticed(tiny_nanodet):
    with pytest.raises(AssertionError):
        require_whole(tiny_nanodet, load_card(tiny_nanodet))
