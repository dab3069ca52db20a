# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
The ncnn runtime.

ncnn reports errors with return codes, and the Python binding crashes after an ignored error. So
every code, name and shape is checked here (observed with 1.0.20261020).
"""

from __future__ import annotations

from collections.abc import Callable
import os
from pathlib import Path

from lite_detector.backends.shapes import InputShapes
from lite_detector.core.errors import ModelError
from lite_detector.core.model_card import NcnnFiles
from lite_detector.core.types import FloatArray
import numpy as np

# Threads that spin between layers slow down other nodes: with a competing process on two cores,
# spinning takes 2.5 times as long. libgomp reads this variable once, at import.
os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')

import ncnn  # noqa: E402, I100

PARAM_MAGIC = '7767517'


class NcnnNetwork:
    """
    A network in ncnn; it can be used by several threads.

    :param net: Loaded net.
    :param files: Names of the input and output blobs.
    """

    def __init__(self, net: ncnn.Net, files: NcnnFiles) -> None:
        self.device, self.device_name = 'cpu', ''
        self._net = net
        self._files = files
        self._only_read = _input_is_only_read(net, files.input)

    def infer(self, blob: FloatArray) -> list[FloatArray]:
        """Run the network once; see :class:`lite_detector.backends.base.Backend`."""
        # ncnn.Mat references the memory and ignores strides and dtype.
        blob = np.ascontiguousarray(blob, np.float32)
        extractor = self._net.create_extractor()
        mat = ncnn.Mat(blob) if self._only_read else ncnn.Mat(blob).clone()
        code = extractor.input(self._files.input, mat)
        if code != 0:
            raise ModelError(f'ncnn cannot take input {self._files.input!r} (code {code})')
        outputs = []
        for name in self._files.outputs:
            mat = ncnn.Mat()
            code = extractor.extract(name, mat)
            # Reading a Mat that was never filled crashes the process.
            if code != 0 or mat.empty():
                where = '' if self.device == 'cpu' else (
                    f' on {self.device} ({self.device_name}): its memory may be full')
                raise ModelError(f'ncnn cannot compute output {name!r} (code {code}){where}')
            outputs.append(mat.numpy())
        return outputs


class NetworkInMemory:
    """
    A generated network in memory that runs step by step, to measure the latency of its parts.

    :param param: Text of a ``.param`` file whose input is blob 0.
    :param weights: Content of its ``.bin`` file.
    :param blob: Network input, float32, shape (channels, height, width); only convolutions may
        read it.
    :param num_threads: Number of threads per inference.
    :param precision: Precision, see :func:`open_network`.
    :raises ModelError: if ncnn cannot load it.
    """

    def __init__(self, param: str, weights: bytes, blob: FloatArray, num_threads: int,
                 precision: str) -> None:
        # ncnn references both without a copy
        self._weights = weights
        self._blob = np.ascontiguousarray(blob, np.float32)
        self._mat = ncnn.Mat(self._blob)
        self._net = _new_net(num_threads, precision)
        code = self._net.load_param_mem(param)
        if code != 0:
            raise ModelError(f'ncnn cannot load a generated network (code {code})')
        self._net.load_model_mem(weights)

    def start(self) -> Callable[[str], FloatArray]:
        """
        Start an inference.

        :return: Function that computes a blob by name, with all blobs that it depends on. Its time
            includes the copy of the blob, so request small ones.
        """
        extractor = self._net.create_extractor()
        extractor.input('0', self._mat)

        def compute(name: str) -> FloatArray:
            mat = ncnn.Mat()
            code = extractor.extract(name, mat)
            if code != 0 or mat.empty():
                raise ModelError(f'ncnn cannot compute blob {name!r} (code {code})')
            return mat.numpy()
        return compute


def open_network(files: NcnnFiles, paths: dict[str, Path], num_threads: int,
                 precision: str) -> NcnnNetwork:
    """
    Load ``.param`` and ``.bin`` files.

    :param files: Section ncnn of the card.
    :param paths: Role (param, bin) -> path.
    :param num_threads: Number of threads per inference.
    :param precision: auto is the default of ncnn (fp16 if the processor supports it). int8,
        int8_auto, int8_bf16: layers without int8 run in fp32, auto, bf16.
    :raises ModelError: if ncnn cannot load them or a blob of the card is not in the network.
    """
    return _open(files, paths, _new_net(num_threads, precision))


def open_on_device(files: NcnnFiles, paths: dict[str, Path], num_threads: int, precision: str,
                   device: str, shapes: InputShapes) -> NcnnNetwork:
    """
    Load ``.param`` and ``.bin`` files on a GPU, through Vulkan.

    :param device: Device name: gpu or gpu:N. Other parameters are as in :func:`open_network`.
    :param shapes: Ignored, because all input sizes are supported.
    :raises ModelError: if ncnn cannot load them, or the GPU is absent or cannot run the network.
    """
    if precision.startswith('int8'):
        raise ModelError(f'device {device}: ncnn computes {precision} on the CPU only; use '
                         'precision auto or fp32')
    # imported here, because the CPU needs no Vulkan
    from lite_detector.backends.vulkan import find_gpu
    index, name = find_gpu(device)
    net = _new_net(num_threads, precision)
    # must be set before load_param; later calls crash the process
    net.opt.use_vulkan_compute = True
    net.set_vulkan_device(index)
    network = _open(files, paths, net)
    if not net.opt.use_vulkan_compute:  # ncnn resets it without a message
        raise ModelError(f'device {device}: ncnn does not use {name} and fell back to the CPU; '
                         'check its Vulkan driver')
    network.device, network.device_name = f'gpu:{index}', name
    return network


def _open(files: NcnnFiles, paths: dict[str, Path], net: ncnn.Net) -> NcnnNetwork:
    _check_blobs(paths['param'], files)
    for role, load in (('param', net.load_param), ('bin', net.load_model)):
        code = load(str(paths[role]))
        if code != 0:
            memory = ', or the memory of the GPU is full' if net.opt.use_vulkan_compute else ''
            raise ModelError(f'{paths[role]}: ncnn cannot load it (code {code}); the file is '
                             f'truncated, damaged or belongs to another network{memory}')
    return NcnnNetwork(net, files)


def _new_net(num_threads: int, precision: str) -> ncnn.Net:
    net = ncnn.Net()
    net.opt.num_threads = num_threads
    net.opt.use_vulkan_compute = False
    of_floats = precision.removeprefix('int8_')
    if of_floats != 'auto':
        net.opt.use_fp16_packed = False
        net.opt.use_fp16_storage = False
        net.opt.use_fp16_arithmetic = False
        net.opt.use_bf16_storage = of_floats == 'bf16'
    return net


def _input_is_only_read(net: ncnn.Net, name: str) -> bool:
    # A layer that works in place needs an owned Mat, and a borrowed one crashes the process.
    # Split and Reshape pass the memory on. A convolution does neither.
    blob = next(blob for blob in net.blobs() if blob.name == name)
    return blob.consumer >= 0 and net.layers()[blob.consumer].type == 'Convolution'


def _check_blobs(path: Path, files: NcnnFiles) -> None:
    try:
        lines = path.read_text(encoding='ascii').splitlines()
    except OSError as error:
        raise ModelError(f'{path}: {error.strerror}') from None
    except UnicodeDecodeError:
        lines = []
    if not lines or lines[0].strip() != PARAM_MAGIC:
        raise ModelError(f'{path}: not an ncnn .param text file')
    produced: set[str] = set()
    inputs: set[str] = set()
    for line in lines[2:]:
        # type, name, number of bottoms, number of tops, bottoms, tops, parameters
        fields = line.split()
        if len(fields) < 4 or not (fields[2].isdecimal() and fields[3].isdecimal()):
            raise ModelError(f'{path}: line {line[:60]!r}: not an ncnn layer')
        first = 4 + int(fields[2])
        tops = fields[first:first + int(fields[3])]
        produced.update(tops)
        if fields[0] == 'Input':
            inputs.update(tops)
    for kind, names, wanted in (('input', inputs, (files.input,)),
                                ('output', produced, files.outputs)):
        missing = [name for name in wanted if name not in names]
        if missing:
            raise ModelError(f'{path}: no {kind} blob {missing[0]!r}; expected the blob names of '
                             'the card; the file belongs to another network')
