# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""What the node computes in where precision is auto; no ROS here."""

from collections.abc import Sequence
from pathlib import Path
import shutil
import threading

from lite_detector.backends import devices
from lite_detector.backends.base import DeviceChoice, open_backend
from lite_detector.core.agreement import output_error
from lite_detector.core.errors import ModelError
from lite_detector.core.model_card import load_card
from lite_detector.core.types import ImageSize
from lite_detector.detector import Detector
from lite_detector.export.calibration import METHODS
from lite_detector.export.int8_network import write_int8
from lite_detector.export.quantize import FloatNetwork
from lite_detector.ros import precision as precision_module
from lite_detector.ros import precision_cache
from lite_detector.ros.precision import choose, load_detector, Probe, probe, ROUNDS
from lite_detector.zoo import user_cache
import ncnn
import numpy as np
import pytest
from tiny_models import change_card, write_tiny_nanodet

AUTO = {'precision': 'auto', 'runtime': 'ncnn', 'num_threads': 1}


def with_int8(folder: Path, floats: Sequence[str] = ()) -> Path:
    """Write the int8 form into a model folder, calibrated on noise."""
    network = FloatNetwork(load_card(folder), folder)
    blob = np.random.default_rng(0).uniform(0, 1, (3, 64, 96)).astype(np.float32)
    text = write_int8(network.layers, {name: METHODS['max'](histogram) for name, histogram
                                       in network.observe([blob]).items() if name not in floats})
    (folder / 'b.param').write_text(text.param)
    (folder / 'b.bin').write_bytes(text.weights)
    change_card(folder, 'runtimes.ncnn.int8', {'param': 'b.param', 'bin': 'b.bin'})
    return folder


@pytest.mark.parametrize(('probes', 'wanted'), [
    ([('fp32', 9, 0)], 'fp32'),
    ([('fp32', 9, 0), ('bf16', 8, 1), ('int8', 5, 2)], 'int8'),
    ([('fp32', 9, 0), ('bf16', 5.2, 1), ('int8', 5, 2)], 'bf16'),  # as fast, and more exact
    ([('fp32', 9, 0), ('auto', 9, 0), ('bf16', 8.8, 1)], 'fp32'),
    ([('fp32', 9, 0), ('bf16', 8, 1), ('int8', 5, 30)], 'bf16'),  # does not agree
    ([('fp32', 9, 0), ('bf16', 1, float('nan'))], 'fp32'),
    ([('fp32', 9, float('nan')), ('bf16', 10, float('nan'))], 'fp32'),
])
def test_the_most_exact_of_the_fastest_that_agree_is_chosen(probes, wanted):
    assert choose([Probe(*each) for each in probes]).precision == wanted


def test_auto_probes_what_the_folder_has_and_tells_the_choice(tmp_path):
    folder = write_tiny_nanodet(tmp_path / 'random', seed=0)
    detector, chosen = load_detector(folder, AUTO)
    assert chosen.startswith('precision auto: chose ')
    assert [word in chosen for word in ('fp32', 'bf16', 'int8')] == [True, True, False]
    detector.warm_up()
    assert 'int8' in load_detector(with_int8(folder), AUTO)[1]


def test_int8_form_is_close_on_the_warm_up_picture(tmp_path):
    folder = with_int8(write_tiny_nanodet(tmp_path / 'random', seed=0))
    detectors = {precision: load_detector(folder, {**AUTO, 'precision': precision})[0]
                 for precision in ('fp32', 'int8')}
    exact, int8 = probe(detectors, 1)
    assert (exact.precision, exact.error) == ('fp32', 0)
    assert 0 < int8.error < 5
    assert int8.ms > 0


class TimedNetwork:
    """Stands for a detector and its backend; notes whether the worker was held at each pass."""

    def __init__(self, lock: threading.Lock, fails_after: int = 100, output: float = 0) -> None:
        self.backend = self
        self._lock = lock
        self._output = np.full(3, output, np.float32)
        self._passes_left = fails_after
        self.held: list[bool] = []

    def fit(self, image_bgr: np.ndarray) -> None:
        assert not self._lock.locked()

    def make_blob(self, image_bgr: np.ndarray, letterbox: None) -> np.ndarray:
        return np.zeros((3, 4, 6), np.float32)

    def infer(self, blob: np.ndarray) -> list[np.ndarray]:
        self.held.append(self._lock.locked())
        self._passes_left -= 1
        if self._passes_left < 0:
            raise RuntimeError('no memory')
        return [self._output]


def test_the_worker_is_held_still_while_precisions_are_timed_and_no_longer():
    lock = threading.Lock()
    networks = {name: TimedNetwork(lock, output=output)
                for output, name in enumerate(('fp32', 'bf16'))}
    probe(networks, 2, lock)
    for network in networks.values():
        # one pass for the outputs, then the timed ones
        assert network.held == [False] + [True] * ROUNDS
    assert not lock.locked()


def test_precision_that_gives_the_bits_of_an_earlier_one_is_not_timed():
    lock = threading.Lock()
    networks = {name: TimedNetwork(lock, output=output) for name, output in (
        ('fp32', 1), ('auto', 1), ('bf16', 1.01), ('int8', 1.1), ('int8_auto', 1.1))}
    assert [each.precision for each in probe(networks, 1, lock)] == ['fp32', 'bf16', 'int8']
    assert [len(network.held) for network in networks.values()] == [
        1 + ROUNDS, 1, 1 + ROUNDS, 1 + ROUNDS, 1]


@pytest.mark.skipif(ncnn.cpu_support_arm_asimdhp(), reason='this processor computes in fp16')
def test_auto_is_fp32_where_the_processor_has_no_fp16_arithmetic(tmp_path):
    folder = with_int8(write_tiny_nanodet(tmp_path / 'random', seed=0), floats=('conv1',))
    _, chosen = load_detector(folder, AUTO)
    assert [f'{precision} ' in chosen for precision in ('fp32', 'auto', 'bf16', 'int8',
                                                        'int8_auto', 'int8_bf16')] == [
        True, False, True, True, False, True]


def test_float_layers_of_int8_run_in_what_the_precision_names(tmp_path):
    folder = with_int8(write_tiny_nanodet(tmp_path / 'random', seed=0), floats=('conv1',))
    card = load_card(folder)
    blob = np.random.default_rng(0).uniform(0, 1, (3, 64, 96)).astype(np.float32)
    exact, bf16, int8, int8_bf16 = (
        dict(zip(card.runtimes.ncnn.outputs, open_backend(
            card, folder, 'ncnn', 1, precision).infer(blob), strict=True))
        for precision in ('fp32', 'bf16', 'int8', 'int8_bf16'))
    np.testing.assert_array_equal(int8['head16'], exact['head16'])
    np.testing.assert_array_equal(int8_bf16['head16'], bf16['head16'])
    assert np.abs(bf16['head16'] - exact['head16']).max() > 0
    for name in ('head8', 'head32'):
        assert np.abs(int8[name] - exact[name]).max() > 0
        np.testing.assert_allclose(int8_bf16[name], exact[name], atol=0.05)


def test_the_worker_goes_on_after_a_probe_that_failed():
    lock = threading.Lock()
    with pytest.raises(RuntimeError, match='no memory'):
        probe({'fp32': TimedNetwork(lock, fails_after=3)}, 1, lock)
    assert not lock.locked()


@pytest.mark.parametrize('options', [{'precision': 'fp32'}, {'runtime': 'onnx'}])
def test_nothing_is_probed_where_there_is_no_choice(tiny_nanodet, options):
    assert load_detector(tiny_nanodet, {**AUTO, **options})[1] == ''


def test_precision_is_probed_where_auto_chose_the_cpu(tiny_nanodet, monkeypatch):
    choices = iter(('cpu', 'gpu:0'))
    monkeypatch.setattr(devices, 'open_on_device', lambda card, folder, *_: (
        open_backend(card, folder, 'ncnn', 1, 'fp32'), DeviceChoice(next(choices), 'measured')))
    detector, chosen = load_detector(tiny_nanodet, {**AUTO, 'device': 'auto'})
    assert chosen.startswith('measured; precision auto: chose ')
    assert detector.device == DeviceChoice('cpu', 'measured')
    detector, chosen = load_detector(tiny_nanodet, {**AUTO, 'device': 'auto'})
    assert (chosen, detector.device.name) == ('measured', 'gpu:0')


def test_damaged_int8_form_does_not_stop_auto(tmp_path):
    folder = with_int8(write_tiny_nanodet(tmp_path / 'random', seed=0))
    (folder / 'b.bin').write_bytes(b'')
    chosen = load_detector(folder, AUTO)[1]
    assert 'int8' not in chosen.partition(';')[0]
    assert '; not int8: ' in chosen
    assert 'b.bin: ncnn cannot load it' in chosen
    with pytest.raises(ModelError, match='ncnn cannot load it'):
        load_detector(folder, {**AUTO, 'precision': 'int8'})


def test_int8_form_that_is_not_the_one_of_the_card_does_not_stop_auto(tmp_path):
    folder = with_int8(write_tiny_nanodet(tmp_path / 'random', seed=0))
    change_card(folder, 'runtimes.ncnn.int8.sha256', {'bin': '0' * 64})
    assert '; not int8: ' in load_detector(folder, AUTO)[1]
    assert entries() == []


def test_output_error_is_a_share_of_what_outputs_are():
    wanted = [[np.float32([3, 4])], [np.float32([0, 0])]]
    assert output_error(wanted, [[np.float32([3, 4])], [np.float32([0, 0])]]) == 0
    # the differences have a norm of 1, the outputs one of 5
    assert output_error(wanted, [[np.float32([3, 5])], [np.float32([0, 0])]]) == pytest.approx(20)
    assert output_error([[np.zeros(2)]], [[np.ones(2)]]) == 0
    assert np.isnan(output_error(wanted, [[np.float32([3, np.nan])], [np.float32([0, 0])]]))


@pytest.fixture
def measured(monkeypatch) -> list[int]:
    """Return a list that grows with every measurement."""
    calls: list[int] = []
    original = precision_module.probe
    monkeypatch.setattr(precision_module, 'probe',
                        lambda *arguments: calls.append(1) or original(*arguments))
    return calls


def entries() -> list[Path]:
    return list((user_cache().parent / 'precision').glob('*'))


def test_choice_is_measured_once_and_loads_one_network_after_that(tmp_path, measured, monkeypatch):
    folder = write_tiny_nanodet(tmp_path / 'random', seed=0)
    first, report = load_detector(folder, AUTO)
    loaded = []
    from_folder = Detector.from_folder
    monkeypatch.setattr(Detector, 'from_folder', lambda *arguments, **options: loaded.append(
        options['precision']) or from_folder(*arguments, **options))
    again, known = load_detector(folder, AUTO)
    assert measured == [1]
    assert len(loaded) == 1
    assert known == f'{report}; measured at an earlier start, stored in {entries()[0]}'
    blob = np.random.default_rng(0).uniform(0, 1, (3, 64, 96)).astype(np.float32)
    for left, right in zip(first.backend.infer(blob), again.backend.infer(blob), strict=True):
        np.testing.assert_array_equal(left, right)


def test_choice_is_measured_again_where_anything_changes(tmp_path, measured, monkeypatch):
    folder = write_tiny_nanodet(tmp_path / 'random', seed=0)
    load_detector(folder, AUTO)
    changes = [lambda: change_card(folder, 'description', 'another'),
               lambda: shutil.copy(write_tiny_nanodet(tmp_path / 'other', seed=1) / 'model.bin',
                                   folder / 'model.bin'),
               lambda: with_int8(folder),
               lambda: monkeypatch.setattr(precision_module, 'MAX_ERROR', 14.0),
               lambda: monkeypatch.setattr(precision_cache, '_board', lambda: [b'another board']),
               lambda: monkeypatch.setattr(precision_cache, '_runtime', lambda: [b'another ncnn'])]
    for count, change in enumerate(changes, 2):
        change()
        load_detector(folder, AUTO)
        load_detector(folder, AUTO)
        assert len(measured) == count
    load_detector(folder, {**AUTO, 'num_threads': 2})
    load_detector(folder, {**AUTO, 'input_size': ImageSize(64, 64)})
    assert len(measured) == count + 2
    # the same model in another place is the same model
    load_detector(shutil.copytree(folder, tmp_path / 'copy'), AUTO)
    assert len(measured) == count + 2


@pytest.mark.parametrize('text', [
    '', '{', '[]', '{"precision": "bf16"}', '{"precision": "fp99", "report": "x"}',
    '{"precision": 3, "report": "x"}', '{"precision": "bf16", "report": "x", "more": 1}'])
def test_choice_that_is_malformed_is_measured_and_written_again(tmp_path, measured, text):
    folder = write_tiny_nanodet(tmp_path / 'random', seed=0)
    load_detector(folder, AUTO)
    entry, = entries()
    entry.write_text(text)
    load_detector(folder, AUTO)
    assert len(measured) == 2
    load_detector(folder, AUTO)
    assert len(measured) == 2
    assert entries() == [entry]


def test_choice_that_the_network_cannot_run_any_more_is_measured_again(tmp_path, measured):
    folder = write_tiny_nanodet(tmp_path / 'random', seed=0)
    load_detector(folder, AUTO)
    entry, = entries()
    entry.write_text('{"precision": "int8", "report": "x"}')  # which this folder does not have
    load_detector(folder, AUTO)
    assert len(measured) == 2


def test_cache_that_cannot_be_written_is_no_error(tmp_path, measured):
    folder = write_tiny_nanodet(tmp_path / 'random', seed=0)
    user_cache().parent.mkdir(parents=True, exist_ok=True)
    (user_cache().parent / 'precision').write_text('a file in the place of the folder')
    for count in (1, 2):
        load_detector(folder, AUTO)
        assert len(measured) == count
