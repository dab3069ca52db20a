# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

from lite_detector.core.errors import ModelError
from lite_detector.core.model_card import OnnxFiles
from lite_detector.core.types import FloatArray
import numpy as np
import onnxruntime


class OnnxNetwork:
    """
    A network in ONNX Runtime on the CPU; safe to use from several threads.

    :param session: a loaded session.
    :param files: names of the input and the outputs.
    """

    def __init__(self, session: onnxruntime.InferenceSession, files: OnnxFiles) -> None:
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
    :param precision: auto or fp32; the file itself says the rest.
    :raises ModelError: if ONNX Runtime refuses it or an input or output of the card is absent.
    """
    if precision not in ('auto', 'fp32'):
        raise ModelError(f'runtime onnx has no precision {precision}; wanted auto or fp32')
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # As in ncnn_backend: idle threads sleep, they do not take a core from their neighbours.
    options.add_session_config_entry('session.intra_op.allow_spinning', '0')
    try:
        session = onnxruntime.InferenceSession(str(paths['file']), options,
                                               providers=['CPUExecutionProvider'])
    except Exception as error:  # the library raises a dozen unrelated types here
        raise ModelError(f'{paths["file"]}: ONNX Runtime cannot load it: '
                         f'{_one_line(error)}') from None
    for kind, nodes, wanted in (('input', session.get_inputs(), (files.input,)),
                                ('output', session.get_outputs(), files.outputs)):
        missing = sorted(set(wanted) - {node.name for node in nodes})
        if missing:
            raise ModelError(f'{paths["file"]}: no {kind} {missing[0]!r}, which the card names; '
                             'this is another network')
    return OnnxNetwork(session, files)


def _one_line(error: Exception) -> str:
    return ' '.join(str(error).split())
