# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The torch runtime: a network in training with the interface of the deployed detector."""

from __future__ import annotations

from pathlib import Path

from lite_detector.backends.base import check_threads
from lite_detector.core.errors import ModelError
from lite_detector.core.types import FloatArray, ImageSize
from lite_detector.detector import Detector, Selection, with_resize
from lite_detector.train.weights.checkpoint import load_checkpoint
import torch
from torch import nn


class TorchBackend:
    """
    A network in torch; see :class:`lite_detector.backends.base.Backend`.

    The model is set to evaluation mode and stays there. Each call uses the current weights.

    :param model: Network that returns raw heads, on any device.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model

    @torch.inference_mode()
    def infer(self, blob: FloatArray) -> list[FloatArray]:
        """Run the network once."""
        if self.model.training:
            self.model.eval()
        weight = next(self.model.parameters())
        try:
            heads = self.model(torch.from_numpy(blob)[None].to(weight))
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            raise ModelError(f'torch could not run the network: {reason}') from None
        return [head[0].float().contiguous().cpu().numpy() for head in heads]


def detector_from_checkpoint(path: Path, *, num_threads: int | None = None,
                             input_size: ImageSize | None = None, resize: str | None = None,
                             selection: Selection = Selection()) -> Detector:
    """
    Load a checkpoint and run it once.

    :param path: Checkpoint of ``import_weights`` or training.
    :param num_threads: Number of threads of torch in this process; None keeps it.
    :param input_size: Input size in network pixels; None: that of the card.
    :param resize: Resize mode; None: that of the card.
    :param selection: Thresholds and classes of the detections.
    :raises LiteDetectorError: with a one-line message.
    """
    checkpoint = load_checkpoint(path)
    if num_threads is not None:
        check_threads(num_threads)
        torch.set_num_threads(num_threads)
    detector = Detector(with_resize(checkpoint.card, resize), TorchBackend(checkpoint.model()),
                        selection, input_size)
    detector.warm_up()
    return detector
