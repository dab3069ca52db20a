# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
The binding of ncnn answers mistakes with return codes and ends the process when one is unread.

So most of these tests are about files and calls that are wrong; they must end in a ModelError.
"""

from concurrent.futures import ThreadPoolExecutor
import os
from pathlib import Path
import shutil

from lite_detector.backends.base import Backend, open_backend
from lite_detector.core.errors import ConfigError, ModelError
from lite_detector.core.model_card import load_card
import numpy as np
import pytest
from tiny_models import (
    change_card,
    write_onnx,
    write_tiny_nanodet,
    write_tiny_yolof,
    write_tiny_yolov5,
)

RUNTIMES = ('ncnn', 'onnx')
SIZES = ((64, 96), (128, 32))
HEAD_CHANNELS = 2 + 4 * 8


def open_folder(folder: Path, runtime: str = 'ncnn', num_threads: int = 1,
                precision: str = 'fp32') -> Backend:
    return open_backend(load_card(folder), folder, runtime, num_threads, precision)


def random_blob(height: int = 64, width: int = 96, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, (3, height, width)).astype(np.float32)


@pytest.fixture
def random_nanodet(tmp_path) -> Path:
    return write_tiny_nanodet(tmp_path / 'random', seed=0)


@pytest.mark.parametrize('runtime', RUNTIMES)
@pytest.mark.parametrize('size', SIZES, ids=str)
def test_infer_gives_the_outputs_of_the_card_in_its_order(random_nanodet, runtime, size):
    change_card(random_nanodet, f'runtimes.{runtime}.outputs', ['head32', 'head8', 'head16'])
    outputs = open_folder(random_nanodet, runtime).infer(random_blob(*size))
    assert [output.shape for output in outputs] == [
        (HEAD_CHANNELS, size[0] // stride, size[1] // stride) for stride in (32, 8, 16)]
    assert {output.dtype for output in outputs} == {np.dtype(np.float32)}


@pytest.mark.parametrize('runtime', RUNTIMES)
def test_infer_equals_the_convolution_worked_out_in_numpy(random_nanodet, runtime):
    blob = random_blob()
    data = np.fromfile(random_nanodet / 'model.bin', np.float32)
    weight = data[1:1 + HEAD_CHANNELS * 192].reshape(HEAD_CHANNELS, 192)
    bias = data[1 + HEAD_CHANNELS * 192:][:HEAD_CHANNELS]
    head8 = open_folder(random_nanodet, runtime).infer(blob)[0]
    patch = blob[:, 16:24, 40:48].ravel()
    np.testing.assert_allclose(head8[:, 2, 5], weight @ patch + bias, atol=1e-4)


@pytest.mark.parametrize('write', [write_tiny_nanodet, write_tiny_yolov5, write_tiny_yolof])
@pytest.mark.parametrize('size', SIZES, ids=str)
def test_onnx_runtime_equals_ncnn(tmp_path, write, size):
    folder = write(tmp_path / 'model', num_classes=3, seed=1)
    blob = random_blob(*size)
    pairs = zip(*(open_folder(folder, runtime).infer(blob) for runtime in RUNTIMES), strict=True)
    for ncnn_output, onnx_output in pairs:
        np.testing.assert_allclose(ncnn_output, onnx_output, atol=1e-4)


@pytest.mark.parametrize('runtime', RUNTIMES)
def test_infer_again_leaves_the_blob_and_earlier_outputs_as_they_are(random_nanodet, runtime):
    backend = open_folder(random_nanodet, runtime)
    blob = random_blob()
    before = blob.copy()
    first = backend.infer(blob)
    kept = [output.copy() for output in first]
    backend.infer(random_blob(seed=1))
    np.testing.assert_array_equal(blob, before)
    for output, copy in zip(first, kept, strict=True):
        np.testing.assert_array_equal(output, copy)


@pytest.mark.parametrize('runtime', RUNTIMES)
@pytest.mark.parametrize('view', [
    lambda blob: blob[:, ::2, ::2],
    lambda blob: blob[::-1, :64, :96],
    lambda blob: blob[:, :64, :96],
    lambda blob: np.asfortranarray(blob[:, :64, :96]),
], ids=['strided', 'channels', 'roi', 'fortran'])
def test_infer_of_a_view_equals_that_of_its_copy(random_nanodet, runtime, view):
    blob = view(random_blob(128, 192))
    backend = open_folder(random_nanodet, runtime)
    copied = blob.copy(order='C')
    for got, wanted in zip(backend.infer(blob), backend.infer(copied), strict=True):
        np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize('runtime', RUNTIMES)
@pytest.mark.parametrize('num_threads', [1, 2])
def test_one_network_in_two_python_threads_gives_equal_results(random_nanodet, runtime,
                                                               num_threads):
    backend = open_folder(random_nanodet, runtime, num_threads)
    blobs = [random_blob(seed=seed) for seed in range(40)]
    wanted = [backend.infer(blob) for blob in blobs]
    with ThreadPoolExecutor(2) as pool:
        got = list(pool.map(backend.infer, blobs))
    for outputs, references in zip(got, wanted, strict=True):
        for output, reference in zip(outputs, references, strict=True):
            np.testing.assert_array_equal(output, reference)


@pytest.mark.parametrize('precision', ['auto', 'bf16'])
def test_ncnn_with_less_precision_stays_close(random_nanodet, precision):
    blob = random_blob()
    exact = open_folder(random_nanodet).infer(blob)
    for output, wanted in zip(open_folder(random_nanodet, precision=precision).infer(blob), exact,
                              strict=True):
        np.testing.assert_allclose(output, wanted, atol=0.1)
        assert output.dtype == np.float32


@pytest.mark.parametrize(('option', 'value', 'message'), [
    ('runtime', 'tensorrt', "runtime: 'tensorrt'; expected one of ncnn, onnx"),
    ('precision', 'fp64', "precision: 'fp64'; expected one of auto, fp32, bf16"),
    ('num_threads', 0, 'num_threads: 0; expected 1 to 64'),
    ('num_threads', 10 ** 14, 'num_threads: 100000000000000; expected 1 to 64'),
])
def test_open_backend_with_a_wrong_option_names_the_choices(tiny_nanodet, option, value, message):
    with pytest.raises(ConfigError, match=message):
        open_folder(tiny_nanodet, **{option: value})


@pytest.mark.parametrize('runtime', ['ncnn', 'onnx'])
def test_open_backend_in_a_folder_whose_name_is_no_text_says_so(tiny_nanodet, runtime):
    folder = tiny_nanodet.rename(os.fsdecode(bytes(tiny_nanodet.parent) + b'/m\xff'))
    with pytest.raises(ModelError, match='not UTF-8; rename the folder'):
        open_folder(folder, runtime)


@pytest.mark.parametrize(('runtime', 'file'), [('ncnn', 'model.param'), ('ncnn', 'model.bin'),
                                               ('onnx', 'model.onnx')])
def test_open_backend_without_a_file_names_it(tiny_nanodet, runtime, file):
    (tiny_nanodet / file).unlink()
    with pytest.raises(ModelError, match=f"card.yaml: '{file}': no such file in the model folder"):
        open_folder(tiny_nanodet, runtime)


def test_open_backend_without_its_library_says_how_to_get_it(tiny_nanodet, run_python):
    done = run_python('-c', """
import sys
from lite_detector import load_model
from lite_detector.core.errors import ModelError
for runtime, library in (('ncnn', 'ncnn'), ('onnx', 'onnxruntime')):
    sys.modules[library] = None
    try:
        load_model(sys.argv[1], runtime=runtime)
    except ModelError as error:
        print(error)
""", tiny_nanodet)
    ncnn_error, onnx_error = done.stdout.splitlines()
    assert ncnn_error.startswith('runtime ncnn: ')
    assert ncnn_error.endswith('install it with `python3 -m pip install ncnn`')
    assert onnx_error.startswith('runtime onnx: ')
    assert onnx_error.endswith('install it with `python3 -m pip install onnxruntime`')


def spoil_param(folder: Path, old: str, new: str) -> None:
    path = folder / 'model.param'
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize('size', [0, 3, 4, 1000, -4])
def test_ncnn_with_a_truncated_bin_refuses_it(tiny_nanodet, size):
    path = tiny_nanodet / 'model.bin'
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ModelError, match=r'model.bin: ncnn cannot load it \(code -1'):
        open_folder(tiny_nanodet)


@pytest.mark.parametrize('data', [b'', b'\n', b'7767518\n1 1\n', b'not a network', bytes(range(9)),
                                  b'<html>404</html>', b'\x5d\xef\xff\x7f\x00\x00'], ids=repr)
def test_ncnn_with_a_param_that_is_no_text_refuses_it(tiny_nanodet, data):
    (tiny_nanodet / 'model.param').write_bytes(data)
    with pytest.raises(ModelError, match=r'model.param: not an ncnn .param text file'):
        open_folder(tiny_nanodet)


@pytest.mark.parametrize(('old', 'new', 'message'), [
    ('5 7\n', '4 7\n', 'cannot compute output .head32'),
    ('5 7\n', '6 7\n', 'ncnn cannot load it'),
    ('5 7\n', '5 1\n', 'ncnn cannot load it'),
    ('5 7\n', '5 2000000000\n', 'ncnn cannot load it'),
    ('5 7\n', 'a b\n', 'ncnn cannot load it'),
    ('Convolution', 'Konvolution', 'ncnn cannot load it'),
    ('6=', '6=99999', 'ncnn cannot load it'),
    ('3=8', '3=0', 'ncnn cannot load it'),
    ('1 1 images_0', '1 1 images_9', 'ncnn cannot load it'),
    ('1 1 images_0', '1 one images_0', 'not an ncnn layer'),
    ('Input images 0 1 images', 'Input images', "line 'Input images': not an ncnn layer"),
    ('images_0 head8', 'images_0 head9', "no output blob 'head8'"),
    ('0 1 images', '0 1 data', "no input blob 'images'"),
])
def test_ncnn_with_a_damaged_param_refuses_it(tiny_nanodet, old, new, message):
    spoil_param(tiny_nanodet, old, new)
    with pytest.raises(ModelError, match=message):
        open_folder(tiny_nanodet).infer(random_blob())


@pytest.mark.parametrize(('key', 'value', 'message'), [
    ('input', 'head8', "model.param: no input blob 'head8'; expected the blob names of the card"),
    ('input', 'data', "model.param: no input blob 'data'"),
    ('outputs', ['head8', 'head99'], "model.param: no output blob 'head99'"),
])
def test_ncnn_with_blobs_that_the_network_lacks_refuses_them(tiny_nanodet, key, value, message):
    change_card(tiny_nanodet, f'runtimes.ncnn.{key}', value)
    with pytest.raises(ModelError, match=message):
        open_folder(tiny_nanodet)


def test_ncnn_with_another_network_refuses_it(tiny_nanodet, shared_data):
    for role in ('param', 'bin'):
        shutil.copy(shared_data / 'weights' / f'squeezenet_v1.1.{role}',
                    tiny_nanodet / f'model.{role}')
    with pytest.raises(ModelError, match="no input blob 'images'.* another network"):
        open_folder(tiny_nanodet)


def test_ncnn_with_the_weights_of_another_network_refuses_them(tiny_nanodet, shared_data):
    shutil.copy(shared_data / 'weights' / 'squeezenet_v1.1.param', tiny_nanodet / 'model.param')
    change_card(tiny_nanodet, 'runtimes.ncnn.input', 'data')
    change_card(tiny_nanodet, 'runtimes.ncnn.outputs', ['prob'])
    with pytest.raises(ModelError, match='model.bin: ncnn cannot load it'):
        open_folder(tiny_nanodet)


# In the process of the tests a segmentation fault would take all of them along.
IN_PLACE = {
    'relu': ['ReLU relu 1 1 images head'],
    'scale': ['BinaryOp scale 1 1 images head 0=2 1=1 2=2.0'],
    'split': ['Split split 1 2 images a b', 'ReLU relu 1 1 a head', 'Noop noop 1 1 b unused'],
    'reshape': ['Reshape reshape 1 1 images a 0=96 1=64 2=3', 'Sigmoid sigmoid 1 1 a head'],
}


def test_ncnn_layers_that_work_in_place_neither_crash_nor_change_the_blob(tmp_path, run_python):
    for name, layers in IN_PLACE.items():
        folder = write_tiny_nanodet(tmp_path / name)
        blobs = 1 + sum(int(layer.split()[3]) for layer in layers)
        (folder / 'model.param').write_text(
            '\n'.join(['7767517', f'{len(layers) + 1} {blobs}', 'Input images 0 1 images',
                       *layers]) + '\n')
        change_card(folder, 'runtimes.ncnn.outputs', ['head'])
    done = run_python('-c', """
from pathlib import Path
import sys
import numpy as np
from lite_detector.backends.base import open_backend
from lite_detector.core.model_card import load_card
blob = np.linspace(-1, 1, 3 * 64 * 96, dtype=np.float32).reshape(3, 64, 96)
before = blob.copy()
for folder in map(Path, sys.argv[1:]):
    backend = open_backend(load_card(folder), folder, 'ncnn', 1, 'fp32')
    first = backend.infer(blob)[0].copy()
    assert np.array_equal(blob, before)
    assert np.array_equal(first, backend.infer(blob)[0])
    print(folder.name, first.shape, not np.array_equal(first, blob), flush=True)
""", *(tmp_path / name for name in IN_PLACE))
    assert done.stdout.splitlines() == [f'{name} (3, 64, 96) True' for name in IN_PLACE], done


def test_failing_loads_and_calls_end_in_errors_and_not_the_process(tmp_path, run_python):
    folders = [write_tiny_nanodet(tmp_path / name) for name in ('bin', 'param', 'card', 'swapped')]
    (folders[0] / 'model.bin').write_bytes(b'\0\0\0\0')
    spoil_param(folders[1], '5 7\n', '4 7\n')
    change_card(folders[2], 'runtimes.ncnn.outputs', ['head8', 'a', 'b'])
    shutil.copy(folders[3] / 'model.bin', folders[3] / 'model.param')
    done = run_python('-c', """
import sys
import numpy as np
from lite_detector import load_model
from lite_detector.core.errors import ModelError
def attempt(call, *arguments):
    try:
        call(*arguments)
    except ModelError as error:
        print('ModelError', error, flush=True)
for folder in sys.argv[2:]:
    attempt(load_model, folder)
attempt(load_model(sys.argv[1]).backend.infer, np.zeros((3, 0, 0), np.float32))
""", write_tiny_nanodet(tmp_path / 'good'), *folders)
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == ['ModelError'] * 5


@pytest.mark.parametrize('data', [b'', b'a text', bytes(1000)],
                         ids=['empty', 'text', 'zeros'])
def test_onnx_with_a_damaged_file_refuses_it(tiny_nanodet, data):
    (tiny_nanodet / 'model.onnx').write_bytes(data)
    with pytest.raises(ModelError, match='model.onnx: ONNX Runtime cannot load it: ') as caught:
        open_folder(tiny_nanodet, 'onnx')
    assert '\n' not in str(caught.value)


def test_onnx_with_a_truncated_file_refuses_it(tiny_nanodet):
    path = tiny_nanodet / 'model.onnx'
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ModelError, match='model.onnx: ONNX Runtime cannot load it: '):
        open_folder(tiny_nanodet, 'onnx')


@pytest.mark.parametrize(('key', 'value', 'message'), [
    ('input', 'data', "model.onnx: no input 'data'; expected the names of the card"),
    ('outputs', ['head8', 'head99'], "no output 'head99'; expected the names of the card"),
])
def test_onnx_with_names_that_the_network_lacks_refuses_them(tiny_nanodet, key, value, message):
    change_card(tiny_nanodet, f'runtimes.onnx.{key}', value)
    with pytest.raises(ModelError, match=message):
        open_folder(tiny_nanodet, 'onnx')


def test_onnx_made_for_one_size_refuses_another(tiny_nanodet):
    weight = np.zeros((HEAD_CHANNELS, 3, 8, 8), np.float32)
    write_onnx(tiny_nanodet / 'model.onnx', [(weight, weight[:, 0, 0, 0])], height=64, width=96)
    change_card(tiny_nanodet, 'runtimes.onnx.outputs', ['head8'])
    backend = open_folder(tiny_nanodet, 'onnx')
    assert backend.infer(random_blob())[0].shape == (HEAD_CHANNELS, 8, 12)
    with pytest.raises(ModelError, match='ONNX Runtime failed: .*invalid dimensions') as caught:
        backend.infer(random_blob(96, 64))
    assert '\n' not in str(caught.value)


def test_onnx_has_no_bf16(tiny_nanodet):
    with pytest.raises(ModelError, match='precision: bf16; expected auto, fp32 or int8'):
        open_folder(tiny_nanodet, 'onnx', precision='bf16')
