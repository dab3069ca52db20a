# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""What the node computes in where precision is auto; no ROS here."""

from pathlib import Path
import threading

from lite_detector.backends import devices
from lite_detector.backends.base import DeviceChoice, open_backend
from lite_detector.core.agreement import output_error
from lite_detector.core.calibration import METHODS
from lite_detector.core.errors import ModelError
from lite_detector.core.model_card import load_card
from lite_detector.export.int8_network import write_int8
from lite_detector.export.quantize import FloatNetwork
from lite_detector.ros.precision import choose, load_detector, Probe, probe, ROUNDS
import numpy as np
import pytest
from tiny_models import change_card, write_tiny_nanodet

AUTO = {'precision': 'auto', 'runtime': 'ncnn', 'num_threads': 1}


def with_int8(folder: Path) -> Path:
    """Write the int8 form into a model folder, calibrated on noise."""
    network = FloatNetwork(load_card(folder), folder)
    blob = np.random.default_rng(0).uniform(0, 1, (3, 64, 96)).astype(np.float32)
    text = write_int8(network.layers, {name: METHODS['max'](histogram) for name, histogram
                                       in network.observe([blob]).items()})
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

    def __init__(self, lock: threading.Lock, fails_after: int = 100) -> None:
        self.backend = self
        self._lock = lock
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
        return [blob]


def test_the_worker_is_held_still_while_precisions_are_timed_and_no_longer():
    lock = threading.Lock()
    networks = {name: TimedNetwork(lock) for name in ('fp32', 'bf16')}
    probe(networks, 2, lock)
    for network in networks.values():
        # one pass for the outputs, then the timed ones
        assert network.held == [False] + [True] * ROUNDS
    assert not lock.locked()


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


def test_output_error_is_a_share_of_what_outputs_are():
    wanted = [[np.float32([3, 4])], [np.float32([0, 0])]]
    assert output_error(wanted, [[np.float32([3, 4])], [np.float32([0, 0])]]) == 0
    # the differences have a norm of 1, the outputs one of 5
    assert output_error(wanted, [[np.float32([3, 5])], [np.float32([0, 0])]]) == pytest.approx(20)
    assert output_error([[np.zeros(2)]], [[np.ones(2)]]) == 0
    assert np.isnan(output_error(wanted, [[np.float32([3, np.nan])], [np.float32([0, 0])]]))
