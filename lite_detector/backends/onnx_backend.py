# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The ONNX Runtime backend."""

from __future__ import annotations

from pathlib import Path

from lite_detector.backends.shapes import InputShapes
from lite_detector.core.errors import ModelError
from lite_detector.core.model_card import OnnxFiles
from lite_detector.core.types import FloatArray
import numpy as np
import onnxruntime


class OnnxNetwork:
    """
    A network in ONNX Runtime; it can be used by several threads.

    :param session: Loaded session.
    :param files: Names of the input and the outputs.
    """

    def __init__(self, session: onnxruntime.InferenceSession, files: OnnxFiles) -> None:
        self.device, self.device_name = 'cpu', ''
        self._session = session
        self._files = files

    def infer(self, blob: FloatArray) -> list[FloatArray]:
        """Run the network once; see :class:`lite_detector.backends.base.Backend`."""
        try:
            outputs = self._session.run(list(self._files.outputs), {self._files.input: blob[None]})
        except Exception as error:  # the library raises many unrelated types here
            raise ModelError(f'ONNX Runtime failed: {_one_line(error)}') from None
        return [np.asarray(output[0], np.float32) for output in outputs]


def open_network(files: OnnxFiles, paths: dict[str, Path], num_threads: int,
                 precision: str) -> OnnxNetwork:
    """
    Load an ``.onnx`` file.

    :param files: Section onnx of the card.
    :param paths: Role (file) -> path.
    :param num_threads: Number of threads per inference.
    :param precision: auto, fp32 or int8; the content of the file determines the rest.
    :raises ModelError: if ONNX Runtime cannot load it, or it lacks an input or output of the card.
    """
    options = _session_options(num_threads, precision)
    try:
        session = onnxruntime.InferenceSession(str(paths['file']), options,
                                               providers=['CPUExecutionProvider'])
    except Exception as error:  # the library raises many unrelated types here
        raise ModelError(f'{paths["file"]}: ONNX Runtime cannot load it: '
                         f'{_one_line(error)}') from None
    return _checked(session, files, paths['file'])


def open_on_device(files: OnnxFiles, paths: dict[str, Path], num_threads: int, precision: str,
                   device: str, shapes: InputShapes) -> OnnxNetwork:
    """
    Load an ``.onnx`` file with an execution provider other than that of the CPU.

    :param device: Device name: gpu, or a key of ``providers.PROVIDERS``, optionally with ``:N``.
        Other parameters are as in :func:`open_network`.
    :param shapes: Possible input sizes.
    :raises ModelError: if the file cannot be loaded, or the provider is absent or leaves
        convolutions to the CPU.
    """
    from lite_detector.backends import providers

    name, index = providers.resolve(device)
    options = _session_options(num_threads, precision)
    providers.record_assignment(options)
    chosen = providers.provider_options(name, index, paths['file'], precision, num_threads,
                                        shapes, files.input)
    try:
        # without enable_fallback=0, ONNX Runtime prints a wrong option and runs on the CPU
        session = onnxruntime.InferenceSession(
            str(paths['file']), options, providers=[(providers.PROVIDERS[name], chosen)],
            enable_fallback=0)
    except Exception as error:  # the library raises many unrelated types here
        raise ModelError(f'device {device}: {paths["file"]}: ONNX Runtime cannot load it: '
                         + providers.with_engines(_one_line(error), chosen)) from None
    providers.check_assignment(session, device, name)
    network = _checked(session, files, paths['file'])
    network.device = f'{name}:{index}' if 'device_id' in chosen else name
    network.device_name = providers.PROVIDERS[name]
    return network


def _session_options(num_threads: int, precision: str) -> onnxruntime.SessionOptions:
    if precision not in ('auto', 'fp32', 'int8'):
        raise ModelError(f'precision: {precision}; expected auto, fp32 or int8 for runtime onnx')
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # As in ncnn_backend: idle threads must not spin, because other processes need the cores.
    options.add_session_config_entry('session.intra_op.allow_spinning', '0')
    return options


def _checked(session: onnxruntime.InferenceSession, files: OnnxFiles, path: Path) -> OnnxNetwork:
    for kind, nodes, wanted in (('input', session.get_inputs(), (files.input,)),
                                ('output', session.get_outputs(), files.outputs)):
        missing = sorted(set(wanted) - {node.name for node in nodes})
        if missing:
            raise ModelError(f'{path}: no {kind} {missing[0]!r}; expected the names of the card; '
                             'the file belongs to another network')
    return OnnxNetwork(session, files)


def _one_line(error: Exception) -> str:
    return ' '.join(str(error).split())
