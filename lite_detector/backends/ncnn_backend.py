# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
The ncnn runtime.

ncnn answers mistakes with return codes, and the Python binding turns an unread code into a
segmentation fault, so every code, name and shape is checked here (seen with 1.0.20261020).
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

# Threads that spin between layers starve the other nodes of a robot: with one busy neighbour
# on two cores the spinning pool takes 2.5 times as long. libgomp reads this once, at import.
os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')

import ncnn  # noqa: E402, I100

PARAM_MAGIC = '7767517'


class NcnnNetwork:
    """
    A network in ncnn; safe to use from several threads.

    :param net: a loaded net.
    :param files: names of the input and output blobs.
    """

    def __init__(self, net: ncnn.Net, files: NcnnFiles) -> None:
        self.device, self.device_name = 'cpu', ''
        self._net = net
        self._files = files
        self._only_read = _input_is_only_read(net, files.input)

    def infer(self, blob: FloatArray) -> list[FloatArray]:
        """Run the network once; see :class:`lite_detector.backends.base.Backend`."""
        # ncnn.Mat borrows the memory and does not look at strides or dtype.
        blob = np.ascontiguousarray(blob, np.float32)
        extractor = self._net.create_extractor()
        mat = ncnn.Mat(blob) if self._only_read else ncnn.Mat(blob).clone()
        code = extractor.input(self._files.input, mat)
        if code != 0:
            raise ModelError(f'ncnn refused input {self._files.input!r} (code {code})')
        outputs = []
        for name in self._files.outputs:
            mat = ncnn.Mat()
            code = extractor.extract(name, mat)
            # Reading a Mat that was never filled ends the process.
            if code != 0 or mat.empty():
                where = '' if self.device == 'cpu' else (
                    f' on {self.device} ({self.device_name}): its memory may be full')
                raise ModelError(f'ncnn could not compute output {name!r} (code {code}){where}')
            outputs.append(mat.numpy())
        return outputs


class NetworkInMemory:
    """
    A network that is on no disk, run step by step, to see how long which part of it takes.

    :param param: text of a ``.param`` whose input is blob 0.
    :param weights: its ``.bin``.
    :param blob: the input, float32, shape (channels, height, width); only convolutions may read
        it.
    :param num_threads: threads for one inference.
    :param precision: as in :func:`open_network`.
    :raises ModelError: if ncnn refuses it.
    """

    def __init__(self, param: str, weights: bytes, blob: FloatArray, num_threads: int,
                 precision: str) -> None:
        # ncnn borrows both memories
        self._weights = weights
        self._blob = np.ascontiguousarray(blob, np.float32)
        self._mat = ncnn.Mat(self._blob)
        self._net = _new_net(num_threads, precision)
        code = self._net.load_param_mem(param)
        if code != 0:
            raise ModelError(f'ncnn refused a generated network (code {code})')
        self._net.load_model_mem(weights)

    def start(self) -> Callable[[str], FloatArray]:
        """
        Begin an inference.

        :return: computes a blob by name and all it needs that was not computed before. The time
            to copy the blob is in it: ask for small ones.
        """
        extractor = self._net.create_extractor()
        extractor.input('0', self._mat)

        def compute(name: str) -> FloatArray:
            mat = ncnn.Mat()
            code = extractor.extract(name, mat)
            if code != 0 or mat.empty():
                raise ModelError(f'ncnn could not compute blob {name!r} (code {code})')
            return mat.numpy()
        return compute


def open_network(files: NcnnFiles, paths: dict[str, Path], num_threads: int,
                 precision: str) -> NcnnNetwork:
    """
    Load ``.param`` and ``.bin``.

    :param files: the card's ncnn section.
    :param paths: paths by role, param and bin.
    :param num_threads: threads for one inference.
    :param precision: auto leaves ncnn its choice (fp16 where the processor has it); int8,
        int8_auto, int8_bf16: layers that are not in int8 run in fp32, auto, bf16.
    :raises ModelError: if ncnn refuses them or a blob of the card is not in the network.
    """
    return _open(files, paths, _new_net(num_threads, precision))


def open_on_device(files: NcnnFiles, paths: dict[str, Path], num_threads: int, precision: str,
                   device: str, shapes: InputShapes) -> NcnnNetwork:
    """
    Load ``.param`` and ``.bin`` onto a GPU, through Vulkan.

    :param device: gpu or gpu:N; the rest as of :func:`open_network`.
    :param shapes: not used, any size of input costs the same.
    :raises ModelError: also if the GPU is not there or refuses the network.
    """
    if precision.startswith('int8'):
        raise ModelError(f'device {device}: ncnn computes {precision} on the CPU alone; use '
                         'precision auto or fp32')
    # here, since the process needs no Vulkan on the CPU
    from lite_detector.backends.vulkan import find_gpu
    index, name = find_gpu(device)
    net = _new_net(num_threads, precision)
    # before load_param, after which these end the process
    net.opt.use_vulkan_compute = True
    net.set_vulkan_device(index)
    network = _open(files, paths, net)
    if not net.opt.use_vulkan_compute:  # ncnn takes it back without a word
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
                             f'cut short, damaged or belongs to another network{memory}')
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
    # A layer that works in place asks for the owner of its memory, and a borrowed Mat has none:
    # the process ends. Split and Reshape hand the memory on. A convolution does neither.
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
            raise ModelError(f'{path}: line {line[:60]!r} is not an ncnn layer')
        first = 4 + int(fields[2])
        tops = fields[first:first + int(fields[3])]
        produced.update(tops)
        if fields[0] == 'Input':
            inputs.update(tops)
    for kind, names, wanted in (('input', inputs, (files.input,)),
                                ('output', produced, files.outputs)):
        missing = [name for name in wanted if name not in names]
        if missing:
            raise ModelError(f'{path}: no {kind} blob {missing[0]!r}, which the card names; '
                             'this is another network')
