# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The ONNX Runtime."""

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
    A network in ONNX Runtime; safe to use from several threads.

    :param session: a loaded session.
    :param files: names of the input and the outputs.
    """

    def __init__(self, session: onnxruntime.InferenceSession, files: OnnxFiles) -> None:
        self.device, self.device_name = 'cpu', ''
        self._session = session
        self._files = files

    def infer(self, blob: FloatArray) -> list[FloatArray]:
        """Run the network once; see :class:`lite_detector.backends.base.Backend`."""
        try:
            outputs = self._session.run(list(self._files.outputs), {self._files.input: blob[None]})
        except Exception as error:  # the library raises a dozen unrelated types here
            raise ModelError(f'ONNX Runtime failed: {_one_line(error)}') from None
        return [np.asarray(output[0], np.float32) for output in outputs]


def open_network(files: OnnxFiles, paths: dict[str, Path], num_threads: int,
                 precision: str) -> OnnxNetwork:
    """
    Load an ``.onnx`` file.

    :param files: the card's onnx section.
    :param paths: paths by role, file.
    :param num_threads: threads for one inference.
    :param precision: auto, fp32 or int8; the file itself says the rest.
    :raises ModelError: if ONNX Runtime refuses it or an input or output of the card is absent.
    """
    options = _session_options(num_threads, precision)
    try:
        session = onnxruntime.InferenceSession(str(paths['file']), options,
                                               providers=['CPUExecutionProvider'])
    except Exception as error:  # the library raises a dozen unrelated types here
        raise ModelError(f'{paths["file"]}: ONNX Runtime cannot load it: '
                         f'{_one_line(error)}') from None
    return _checked(session, files, paths['file'])


def open_on_device(files: OnnxFiles, paths: dict[str, Path], num_threads: int, precision: str,
                   device: str, shapes: InputShapes) -> OnnxNetwork:
    """
    Load an ``.onnx`` file for an execution provider other than the CPU's.

    :param device: gpu, or a key of ``providers.PROVIDERS``, each also with ``:N``.
    :param shapes: sizes that the input may have; the rest as of :func:`open_network`.
    :raises ModelError: also if the provider is absent or leaves convolutions to the CPU.
    """
    from lite_detector.backends import providers

    name, index = providers.resolve(device)
    options = _session_options(num_threads, precision)
    providers.record_assignment(options)
    chosen = providers.provider_options(name, index, paths['file'], precision, num_threads,
                                        shapes, files.input)
    try:
        # without enable_fallback=0 a wrong option is printed and then computed on the CPU
        session = onnxruntime.InferenceSession(
            str(paths['file']), options, providers=[(providers.PROVIDERS[name], chosen)],
            enable_fallback=0)
    except Exception as error:  # the library raises a dozen unrelated types here
        raise ModelError(f'device {device}: {paths["file"]}: ONNX Runtime cannot load it: '
                         + providers.with_engines(_one_line(error), chosen)) from None
    providers.check_assignment(session, device, name)
    network = _checked(session, files, paths['file'])
    network.device = f'{name}:{index}' if 'device_id' in chosen else name
    network.device_name = providers.PROVIDERS[name]
    return network


def _session_options(num_threads: int, precision: str) -> onnxruntime.SessionOptions:
    if precision not in ('auto', 'fp32', 'int8'):
        raise ModelError(f'runtime onnx has no precision {precision}; expected auto, fp32 or int8')
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # As in ncnn_backend: idle threads sleep, they do not take a core from their neighbours.
    options.add_session_config_entry('session.intra_op.allow_spinning', '0')
    return options


def _checked(session: onnxruntime.InferenceSession, files: OnnxFiles, path: Path) -> OnnxNetwork:
    for kind, nodes, wanted in (('input', session.get_inputs(), (files.input,)),
                                ('output', session.get_outputs(), files.outputs)):
        missing = sorted(set(wanted) - {node.name for node in nodes})
        if missing:
            raise ModelError(f'{path}: no {kind} {missing[0]!r}, which the card names; '
                             'this is another network')
    return OnnxNetwork(session, files)


def _one_line(error: Exception) -> str:
    return ' '.join(str(error).split())
