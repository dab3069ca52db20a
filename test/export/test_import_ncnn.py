# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Reading ncnn files, against a file that is written by hand; no torch here."""

import json
from pathlib import Path
import struct

import cv2
from lite_detector.cli import TRAINING_LIBRARIES
from lite_detector.core.errors import ModelError
from lite_detector.export.import_ncnn import read_convolutions, read_graph
import numpy as np
import pytest
from tiny_models import square_image

FP16, FP32, INT8 = 0x01306B47, 0, 0x000D4B38
PARAM = """7767517
5 5
Input            data  0 1 data
Convolution      first 1 1 data a 0=1 1=3 3=2 4=1 5=1 6=27 9=2 -23310=1,1.000000e-01
Interp           up    1 1 a b 0=2 1=2.0 2=2.0
ConvolutionDepthWise  deep 1 1 b c 0=2 1=1 6=2 7=2
Sigmoid          end   1 1 c d
"""


def fp16(values: np.ndarray) -> bytes:
    data = values.astype('<f2').tobytes()
    return struct.pack('<I', FP16) + data + bytes(-len(data) % 4)


def fp32(values: np.ndarray) -> bytes:
    return struct.pack('<I', FP32) + values.astype('<f4').tobytes()


FIRST = np.arange(27) / 4
DEEP = np.array([0.1, -7])
BIN = fp16(FIRST) + np.float32(0.3).tobytes() + fp32(DEEP)


@pytest.fixture
def read(tmp_path):
    """Return a function that writes both files and reads them."""
    def write_and_read(param: str = PARAM, weights: bytes = BIN):
        paths = Path(tmp_path, 'a.param'), Path(tmp_path, 'a.bin')
        paths[0].write_text(param)
        paths[1].write_bytes(weights)
        return read_convolutions(*paths)
    return write_and_read


def test_read_convolutions_returns_shapes_weights_and_biases(read):
    first, deep = read()
    assert (first.name, deep.name) == ('first', 'deep')
    assert str(first.shape) == '3x3 convolution 3 -> 1, stride 2, padding 1, groups 1'
    assert str(deep.shape) == '1x1 convolution 2 -> 2, stride 1, padding 0, groups 2'
    # 27 halves end off the grid of 4 bytes: the bias shows that the padding was passed over
    np.testing.assert_array_equal(first.weight, FIRST.astype(np.float32).reshape(1, 3, 3, 3))
    np.testing.assert_array_equal(first.bias, np.float32([0.3]))
    np.testing.assert_array_equal(deep.weight, DEEP.astype(np.float32).reshape(2, 1, 1, 1))
    np.testing.assert_array_equal(deep.bias, np.float32([0, 0]))
    assert {array.dtype for array in (first.weight, first.bias, deep.weight)} == {
        np.dtype(np.float32)}


INT8_PARAM = """7767517
4 4
Input                data  0 1 data
Convolution          full  1 1 data a 0=2 1=1 5=1 6=2 8=102
ConvolutionDepthWise each  1 1 a b 0=2 1=1 5=0 6=2 7=2 8=1
ConvolutionDepthWise once  1 1 b c 0=2 1=1 5=0 6=2 7=2 8=2
"""


def int8(*values: int) -> bytes:
    return struct.pack('<I', INT8) + np.int8(values).tobytes() + bytes(-len(values) % 4)


def scales(*values: float) -> bytes:
    return np.float32(values).tobytes()


def test_int8_weights_are_divided_by_the_scale_of_their_channel(tmp_path):
    """After a layer: bias, scales of the weights, of the input and, above 100, of the output."""
    (tmp_path / 'a.param').write_text(INT8_PARAM)
    data = (int8(100, -50) + scales(0.5, -1) + scales(200, 25) + scales(9) + scales(8)
            + int8(3, 4) + scales(2, np.inf) + scales(7) + int8(10, 20) + scales(40) + scales(6))
    (tmp_path / 'a.bin').write_bytes(data)
    first, each, once = read_graph(tmp_path / 'a.param', tmp_path / 'a.bin', ['c'])
    assert first.weight.ravel().tolist() == [0.5, -2]
    assert first.bias.tolist() == [0.5, -1]
    assert each.weight.ravel().tolist() == [1.5, 0]
    assert once.weight.ravel().tolist() == [0.25, 0.5]
    (tmp_path / 'a.bin').write_bytes(data[:-1])
    with pytest.raises(ModelError, match='ends inside layer once'):
        read_graph(tmp_path / 'a.param', tmp_path / 'a.bin', ['c'])
    (tmp_path / 'a.bin').write_bytes(data.replace(scales(200, 25), scales(-200, 25)))
    with pytest.raises(ModelError, match='layer full has no int8 scale above 0'):
        read_graph(tmp_path / 'a.param', tmp_path / 'a.bin', ['c'])


def test_graph_is_walked_from_the_outputs_of_the_card(tmp_path):
    """Two heads after one layer; the file lists the second one first."""
    (tmp_path / 'a.param').write_text("""7767517
6 7
Input       data  0 1 data
Convolution base  1 1 data a 0=1 1=1 6=1
Split       split 1 2 a b c
Convolution late  1 1 c d 0=1 1=1 6=1
Convolution early 1 1 b e 0=1 1=1 6=1
Sigmoid     end   1 1 e f
""")
    (tmp_path / 'a.bin').write_bytes(fp16(np.ones(1)) * 3)
    paths = tmp_path / 'a.param', tmp_path / 'a.bin'
    for outputs, names in ((['f', 'd'], ['base', 'early', 'late']),
                           (['d', 'f'], ['base', 'late', 'early']), (['e'], ['base', 'early'])):
        graph = read_graph(*paths, outputs)
        assert [each.name for each in graph] == names
        assert [[each.name for each in read] for read in graph.values()] == [
            [], *[['base']] * (len(names) - 1)]
    with pytest.raises(ModelError, match="no output blob 'x', which is in the card"):
        read_graph(*paths, ['x'])


def test_linear_layer_is_a_pointwise_convolution_of_one_cell(read):
    rows = np.arange(6) / 2
    param = PARAM.replace('Sigmoid          end   1 1 c d', 'InnerProduct end 1 1 c d 0=3 1=1 2=6')
    *_, last = read(param, BIN + fp16(rows) + np.float32([1, 2, 3]).tobytes())
    assert str(last.shape) == '1x1 convolution 2 -> 3, stride 1, padding 0, groups 1'
    np.testing.assert_array_equal(last.weight, rows.astype(np.float32).reshape(3, 2, 1, 1))
    np.testing.assert_array_equal(last.bias, np.float32([1, 2, 3]))


def test_read_convolutions_says_how_far_one_looks(read):
    deep = read(PARAM.replace('1=1 6=2', '1=1 2=4 6=2'))[1]
    assert str(deep.shape).endswith('groups 2, dilation 4')


@pytest.mark.parametrize(('cut', 'layer'), [
    (2, 'first'), (40, 'first'), (62, 'first'), (66, 'deep'), (len(BIN) - 1, 'deep')])
def test_weights_cut_short_name_the_layer(read, cut, layer):
    with pytest.raises(ModelError, match=rf'a\.bin: ends inside layer {layer}; .*truncated'):
        read(weights=BIN[:cut])


@pytest.mark.parametrize(('param', 'weights', 'words'), [
    (PARAM, BIN + b'1234', 'a.bin: 4 bytes are left over'),
    (PARAM, struct.pack('<I', INT8) + BIN[4:], 'layer first is int8'),
    (PARAM, b'\1\2\3\4' + BIN[4:], 'tag 0x04030201, which is neither fp16 nor fp32'),
    ('', BIN, 'not an ncnn .param text file'),
    ('\0\xff', BIN, 'not an ncnn .param text file'),
    (PARAM.rpartition('Sigmoid')[0], BIN, '4 layers, but line 2 has 5 5'),
    ('7767517', BIN, 'truncated'),
    (PARAM.replace('Sigmoid', 'LSTM'), BIN, 'layer end is a LSTM'),
    (PARAM.replace('Sigmoid          end   1 1 c d', 'InnerProduct end 1 1 c d 0=3 1=1 2=7'), BIN,
     'layer end has 7 weights for 3 outputs'),
    (PARAM.replace('1=1 6=2', '1=1 12=2 6=2'), BIN, 'layer deep is not square'),
    (PARAM.replace('1=1 6=2', '1=1 11=3 6=6'), BIN, 'layer deep is not square'),
    (PARAM.replace('1=1 6=2', '1=1 6=3'), BIN, 'layer deep is not square'),
    (PARAM.replace('   1 1 c d', ''), BIN, "line 'Sigmoid          end' is not an ncnn layer"),
    (PARAM.replace('0=2 1=1 6=2', '0:2'), BIN, 'is not an ncnn layer'),
])
def test_files_that_are_not_such_a_network_are_refused_in_one_line(read, param, weights, words):
    with pytest.raises(ModelError) as caught:
        read(param, weights)
    assert words in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_absent_file_is_named(tmp_path):
    with pytest.raises(ModelError, match='a.param: No such file'):
        read_convolutions(tmp_path / 'a.param', tmp_path / 'a.bin')


def test_reader_and_specs_need_no_torch(run_python):
    done = run_python('-c', 'import sys; sys.modules["torch"] = None\n'
                            'import lite_detector.export.import_ncnn\n'
                            'import lite_detector.train.config.model')
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize('command', [
    ['import_weights', '--output', 'x.pt', '--model'],
    ['evaluate', '--annotations', 'a.json', '--images', '.', '--model'],
    ['detect', 'a.png', '--model'],
    ['train', '--output', 'run', '--config'],
    ['export', '--output', 'out', '--checkpoint'],
])
def test_command_without_torch_says_how_to_get_it(command, run_python, tiny_nanodet, tmp_path):
    (tmp_path / 'a.json').write_text(json.dumps({
        'images': [{'id': 1, 'file_name': 'a.png', 'height': 64, 'width': 96}],
        'annotations': [], 'categories': [{'id': 3, 'name': 'object0'}]}))
    cv2.imwrite(str(tmp_path / 'a.png'), square_image(64, 96, 32, 32))
    model = tiny_nanodet if command[0] == 'import_weights' else 'x.pt'
    done = run_python('-c', 'import os, sys; sys.modules["torch"] = None\n'
                            'from lite_detector.cli import main\n'
                            'os.chdir(sys.argv.pop(1)); sys.exit(main(sys.argv[1:]))',
                      tmp_path, *command, model)
    assert done.returncode == 2
    line, = done.stderr.splitlines()
    # without the training packages another library is missed first
    assert any(line.startswith(f'error: {each}: not installed; ') for each in TRAINING_LIBRARIES)
    assert 'make setup-train' in line
