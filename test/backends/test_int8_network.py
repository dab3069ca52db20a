# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The int8 form of a network: worked out by hand, byte by byte, and computed by ncnn."""

from pathlib import Path
import struct

from lite_detector.backends.ncnn_backend import open_network
from lite_detector.core.errors import ConfigError
from lite_detector.core.model_card import NcnnFiles
from lite_detector.export.import_ncnn import read_network
from lite_detector.export.int8_network import (
    calibration_table,
    candidates,
    quantize_weight,
    read_table,
    write_int8,
)
import numpy as np
import pytest

HEAD = '7767517\n'
INPUT = 'Input data 0 1 data\n'
FP32 = bytes(4)


def write_network(folder: Path, lines: str, blobs: int, data: bytes) -> list:
    (folder / 'a.param').write_text(f'{HEAD}{lines.count(chr(10))} {blobs}\n{lines}')
    (folder / 'a.bin').write_bytes(data)
    return read_network(folder / 'a.param', folder / 'a.bin')


def one_convolution(folder: Path, weight: np.ndarray, options: str = '',
                    bias: bool = True) -> list:
    """Write a network of one convolution whose weight has shape (out, in, kernel, kernel)."""
    line = (f'Convolution conv 1 1 data out 0={len(weight)} 1={weight.shape[-1]} 5={int(bias)} '
            f'6={weight.size} {options}\n')
    biases = np.arange(len(weight), dtype='<f4') if bias else np.empty(0, '<f4')
    return write_network(folder, INPUT + line, 2,
                         FP32 + weight.astype('<f4').tobytes() + biases.tobytes())


def run_int8(folder: Path, network: list, threshold: float, blob: np.ndarray) -> np.ndarray:
    text = write_int8(network, {'conv': threshold})
    (folder / 'b.param').write_text(text.param)
    (folder / 'b.bin').write_bytes(text.weights)
    files = NcnnFiles('b.param', 'b.bin', 'data', ('out',))
    paths = {role: folder / name for role, name in files.files().items()}
    return open_network(files, paths, 1, 'fp32').infer(blob)[0].copy()


def pointwise(*rows: tuple[float, ...]) -> np.ndarray:
    return np.array(rows, np.float32)[:, :, None, None]


def test_network_without_convolutions_stays_as_it_is(tmp_path):
    network = write_network(tmp_path, INPUT + 'Sigmoid end 1 1 data out\n', 2, b'')
    assert candidates(network) == []
    text = write_int8(network, {})
    assert text.weights == b''
    assert [line.split() for line in text.param.splitlines()] == [
        ['7767517'], ['2', '2'], INPUT.split(), ['Sigmoid', 'end', '1', '1', 'data', 'out']]


def test_each_channel_of_a_weight_uses_all_levels(tmp_path):
    network = one_convolution(tmp_path, pointwise((0.5, -1), (0.25, 0), (0, 0)))
    weight, scales = quantize_weight(candidates(network)[0].convolution)
    # 63.5 goes to the even neighbour; a channel of zeros may have any scale
    assert weight[:, :, 0, 0].tolist() == [[64, -127], [127, 0], [0, 0]]
    assert scales.tolist() == [127, 508, 127]
    assert (weight.dtype, scales.dtype) == (np.int8, np.float32)


@pytest.mark.parametrize(('kernel', 'options', 'levels'), [
    (3, '', 31), (3, '3=2', 127), (3, '2=2', 127), (1, '', 127), (5, '', 127)])
def test_only_three_by_three_at_stride_one_has_six_bits(tmp_path, kernel, options, levels):
    network = one_convolution(tmp_path, np.ones((1, 2, kernel, kernel)), options)
    weight, scales = quantize_weight(candidates(network)[0].convolution)
    assert (weight.max(), scales[0]) == (levels, levels)


def test_depthwise_and_linear_layers_are_no_candidates_and_keep_their_bytes(tmp_path):
    lines = (INPUT + 'ConvolutionDepthWise deep 1 1 data a 0=2 1=1 6=2 7=2\n'
             'Convolution conv 1 1 a b 0=1 1=1 6=2\nInnerProduct last 1 1 b out 0=1 2=1\n')
    half = struct.pack('<I2e', 0x01306B47, 1, 2)
    deep, last = FP32 + np.float32([3, 4]).tobytes(), FP32 + np.float32([5]).tobytes()
    network = write_network(tmp_path, lines, 4, deep + half + last)
    assert [stored.layer.name for stored in candidates(network)] == ['conv']
    assert write_int8(network, {}).weights == deep + half + last
    wanted = (struct.pack('<I2b2x', 0x000D4B38, 64, 127)  # no bias; padded to 4 bytes
              + np.float32([63.5, 127 / 2]).tobytes())
    text = write_int8(network, {'conv': 2.0})
    assert text.weights == deep + wanted + last
    assert text.param.splitlines()[4].split()[4:] == ['a', 'b', '0=1', '1=1', '6=2', '8=2']


def test_calibration_table_lists_weights_then_inputs(tmp_path):
    network = one_convolution(tmp_path, pointwise((0.5, -1), (0.25, 0)))
    assert calibration_table(network, {'conv': 4.0}) == (
        'conv_param_0 127.000000 508.000000\nconv 31.750000\n')


@pytest.mark.parametrize('bias', [True, False])
def test_ncnn_computes_the_int8_form_as_it_is_meant(tmp_path, bias):
    random = np.random.default_rng(0)
    weight = random.normal(0, 1, (8, 12, 1, 1)).astype(np.float32)
    blob = random.normal(0, 1, (12, 5, 7)).astype(np.float32)
    network = one_convolution(tmp_path, weight, bias=bias)
    inputs = np.clip(np.rint(blob * 127 / 1.5), -127, 127)  # some are beyond the threshold
    values, scales = quantize_weight(candidates(network)[0].convolution)
    sums = np.einsum('oi,ihw->ohw', values[:, :, 0, 0].astype(float), inputs)
    wanted = sums / (scales[:, None, None] * 127 / 1.5) + bias * np.arange(8)[:, None, None]
    np.testing.assert_allclose(run_int8(tmp_path, network, 1.5, blob), wanted, atol=1e-3)


def test_three_by_three_at_stride_one_does_not_overflow(tmp_path):
    # 64 channels, all as large as they can be and of one sign: the worst sum there is
    network = one_convolution(tmp_path, np.ones((64, 64, 3, 3)), '4=1', bias=False)
    found = run_int8(tmp_path, network, 1.0, np.ones((64, 12, 12), np.float32))
    np.testing.assert_allclose(found[:, 1:-1, 1:-1], 64 * 9, rtol=1e-3)
    np.testing.assert_allclose(found[:, 0, 0], 64 * 4, rtol=1e-3)


def two_convolutions(folder: Path) -> list:
    lines = (INPUT + 'Convolution first 1 1 data a 0=1 1=1 6=1\n'
             'ConvolutionDepthWise deep 1 1 a b 0=1 1=1 6=1 7=1\n'
             'Convolution second 1 1 b out 0=1 1=1 6=1\n')
    return write_network(folder, lines, 4, 3 * (FP32 + np.float32([0.5]).tobytes()))


def test_table_gives_back_the_thresholds_that_were_written(tmp_path):
    network, thresholds = two_convolutions(tmp_path), {'first': 4.0, 'second': 1e-3}
    (tmp_path / 'x.table').write_text(calibration_table(network, thresholds))
    assert read_table(tmp_path / 'x.table', network) == pytest.approx(thresholds)


def test_table_may_leave_a_layer_in_float_and_have_empty_lines(tmp_path):
    (tmp_path / 'x.table').write_text('first_param_0 254\n\nsecond 254\n')
    assert read_table(tmp_path / 'x.table', two_convolutions(tmp_path)) == {'second': 0.5}


@pytest.mark.parametrize(('content', 'words'), [
    (b'', 'no line with the scale of an input'),
    (b'first_param_0 254\n', 'no line with the scale of an input'),
    (b'first 2\nthird 2\n', "line 2: the network has no convolution 'third'"),
    (b'deep 2\n', 'no line with the scale of an input'),  # depthwise, which stays in float
    (b'first\n', "line 1: 'first'; expected first and one scale above 0"),
    (b'first 2 3\n', 'one scale above 0'),
    (b'first 0\n', 'one scale above 0'),
    (b'first nan\n', 'one scale above 0'),
    (b'first inf\n', 'one scale above 0'),
    (b'first two\n', 'one scale above 0'),
    (b'\xff\xfe', 'not a calibration table'),
    (None, 'No such file'),
])
def test_table_that_is_none_is_refused(tmp_path, content, words):
    if content is not None:
        (tmp_path / 'x.table').write_bytes(content)
    with pytest.raises(ConfigError, match=rf'x\.table: .*{words}'):
        read_table(tmp_path / 'x.table', two_convolutions(tmp_path))
