# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The int8 form of ONNX networks: the same rounding as in ncnn."""

from pathlib import Path

from lite_detector.backends.base import open_backend
from lite_detector.core.agreement import output_error
from lite_detector.core.errors import ModelError
from lite_detector.core.model_card import load_card
from lite_detector.export.int8_network import write_int8
from lite_detector.export.qdq import write_qdq
from lite_detector.export.quantize import FloatNetwork, write_text
import numpy as np
import onnx
from onnx import numpy_helper
import pytest
from tiny_models import change_card, write_tiny_nanodet

THRESHOLDS = {'conv0': 1.0, 'conv1': 1.0, 'conv2': 0.5}


def with_int8(folder: Path, thresholds: dict[str, float]) -> FloatNetwork:
    """Write the int8 forms of both runtimes into a model folder."""
    network = FloatNetwork(load_card(folder), folder)
    change_card(folder, 'runtimes.ncnn.int8', {'param': 'b.param', 'bin': 'b.bin'})
    change_card(folder, 'runtimes.onnx.int8', {'file': 'u8.onnx', 'signed': 's8.onnx'})
    card = load_card(folder)
    write_text(folder, card.runtimes.ncnn.int8, write_int8(network.layers, thresholds))
    for role, name in card.runtimes.onnx.int8.files().items():
        (folder / name).write_bytes(write_qdq(folder / 'model.onnx', network.layers, thresholds,
                                              role == 'signed'))
    return network


@pytest.mark.parametrize('thresholds', [THRESHOLDS, {'conv1': 0.7}])
def test_onnx_rounds_as_ncnn(tmp_path, thresholds):
    folder = write_tiny_nanodet(tmp_path / 'random', seed=0)
    network = with_int8(folder, thresholds)
    card = load_card(folder)
    blob = np.random.default_rng(1).uniform(0, 1, (3, 64, 96)).astype(np.float32)
    in_ncnn = open_backend(card, folder, 'ncnn', 1, 'int8').infer(blob)
    error = output_error([network.infer(blob)], [in_ncnn])
    assert error > 0.1
    for signed in (False, True):
        file = folder / card.int8_onnx_files(signed).file
        onnx.checker.check_model(onnx.load(file))
        change_card(folder, 'runtimes.onnx.int8', {'file': file.name, 'signed': file.name})
        in_onnx = open_backend(load_card(folder), folder, 'onnx', 1, 'int8').infer(blob)
        # the same rounding, except for values half way between two steps
        assert output_error([in_ncnn], [in_onnx]) < error / 10


def test_layers_that_read_the_same_share_its_rounding(tmp_path):
    folder = write_tiny_nanodet(tmp_path / 'random', seed=0)
    with_int8(folder, THRESHOLDS)
    graph = onnx.load(folder / 'u8.onnx').graph
    kinds = [node.op_type for node in graph.node]
    # conv0 and conv1 have one threshold, conv2 another
    assert (kinds.count('QuantizeLinear'), kinds.count('DequantizeLinear')) == (2, 2 + 3)
    weights = {stored.name: numpy_helper.to_array(stored) for stored in graph.initializer}
    assert weights['conv2_scale'] == np.float32(0.5 / 127)
    assert (weights['conv2_zero'], weights['conv2_zero'].dtype) == (128, np.uint8)
    assert weights['conv0_weight_int8'].dtype == np.int8
    assert not {'weight8', 'weight16', 'weight32'} & set(weights)  # float weights are unused
    signed = {stored.name: numpy_helper.to_array(stored)
              for stored in onnx.load(folder / 's8.onnx').graph.initializer}
    assert (signed['conv2_zero'], signed['conv2_zero'].dtype) == (0, np.int8)


def test_tensorrt_gets_the_signed_form(tmp_path):
    folder = write_tiny_nanodet(tmp_path / 'random', seed=0)
    with_int8(folder, THRESHOLDS)
    card = load_card(folder)
    assert card.int8_onnx_files(signed=True).file == 's8.onnx'
    assert card.int8_onnx_files(signed=False).file == 'u8.onnx'
    # no other file is requested: the wheel of the tests has no TensorRT
    (folder / 's8.onnx').unlink()
    with pytest.raises(ModelError, match='s8.onnx'):
        open_backend(card, folder, 'onnx', 1, 'int8', 'tensorrt')


def test_int8_of_a_folder_without_it_says_how_to_get_it(tiny_nanodet):
    with pytest.raises(ModelError, match='has no int8 form for runtime onnx; create one'):
        open_backend(load_card(tiny_nanodet), tiny_nanodet, 'onnx', 1, 'int8')


def test_files_of_two_networks_are_refused(tmp_path):
    folder = write_tiny_nanodet(tmp_path / 'one', seed=0)
    other = write_tiny_nanodet(tmp_path / 'other', seed=1)
    layers = FloatNetwork(load_card(folder), folder).layers
    with pytest.raises(ModelError, match='no convolution with the weights of conv0 in the ncnn'):
        write_qdq(other / 'model.onnx', layers, THRESHOLDS, False)
