# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""An exported ONNX file in OpenVINO, a second implementation to check exports with."""

from __future__ import annotations

from pathlib import Path

from lite_detector.core.errors import ModelError
from lite_detector.core.model_card import OnnxFiles
from lite_detector.core.types import FloatArray
import numpy as np
import openvino


class OpenVinoNetwork:
    """
    A network in OpenVINO on the CPU, in single precision.

    :param path: Path of the ``.onnx`` file.
    :param files: Names of the input and the outputs.
    :raises ModelError: if OpenVINO cannot load it.
    """

    def __init__(self, path: Path, files: OnnxFiles) -> None:
        self._files = files
        try:
            # without this hint, a processor with bf16 instructions computes in bf16
            self._compiled = openvino.Core().compile_model(
                str(path), 'CPU', {'INFERENCE_PRECISION_HINT': 'f32'})
        except RuntimeError as error:
            raise ModelError(f'{path}: OpenVINO cannot load it: '
                             + ' '.join(str(error).split())) from None

    def infer(self, blob: FloatArray) -> list[FloatArray]:
        """Run the network once; see :class:`lite_detector.backends.base.Backend`."""
        outputs = self._compiled({self._files.input: blob[None]})
        return [np.array(outputs[name][0]) for name in self._files.outputs]
