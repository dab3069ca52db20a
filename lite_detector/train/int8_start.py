# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Put a trained network in int8 before it is fine-tuned, with thresholds that suit it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
import math

from lite_detector.core.agreement import output_error
from lite_detector.core.calibration import Histogram, METHODS
from lite_detector.core.errors import ModelError
from lite_detector.core.types import FloatArray
from lite_detector.train.models.int8_conv import (
    int8_candidates,
    Int8Conv,
    put_in_int8,
    settle,
)
import torch
from torch import nn, Tensor

CALIBRATION_IMAGES = 128
HELD_OUT_IMAGES = 16
"""Other ones, by whose outputs the way to choose thresholds is chosen."""
IMAGES = CALIBRATION_IMAGES + HELD_OUT_IMAGES


@torch.no_grad()
def start_in_int8(model: nn.Module, images: Iterable[Tensor], say: Callable[[str], None]) -> None:
    """
    Let all convolutions that int8 can compute do so, with thresholds as ``quantize`` finds them.

    All ways to choose them are tried; the one with the smallest error of the outputs is taken.

    :param model: a trained network, changed in place; its batch norms are settled, and from now
        on keep their statistics.
    :param images: normalised pixels as the robot sees them, each of shape (1, 3, h, w); the first
        ``IMAGES`` are looked at.
    :param say: takes a line that the user ought to know.
    :raises ModelError: if it has no such convolution, or gives what is not finite.
    """
    was_training = model.training
    settle(model)
    model.eval()
    images = list(islice(images, IMAGES))
    held_out = images[CALIBRATION_IMAGES:] or images[-HELD_OUT_IMAGES:]
    histograms = observe(model, images[:CALIBRATION_IMAGES])
    if not histograms:
        raise ModelError('quantize: the network has no convolution that int8 could compute')
    wanted = [_outputs(model, image) for image in held_out]
    choices = {method: {name: threshold(histogram) for name, histogram in histograms.items()}
               for method, threshold in METHODS.items()}
    put_in_int8(model, choices['max'])
    errors = {}
    for method, thresholds in choices.items():
        _set(model, thresholds)
        error = output_error(wanted, (_outputs(model, image) for image in held_out))
        errors[method] = error if error == error else math.inf  # NaN would pass for the best
    method = min(errors, key=errors.__getitem__)
    _set(model, choices[method])
    model.train(was_training)
    figures = ', '.join(f'{name} {error:.1f}' for name, error in errors.items())
    say(f'{len(histograms)} convolutions in int8, thresholds by {method}; outputs off by percent: '
        f'{figures}')


def observe(model: nn.Module, images: Sequence[Tensor]) -> dict[str, Histogram]:
    """
    Run a network and watch what the convolutions read that int8 can compute.

    :param model: in float and in evaluation mode.
    :param images: network inputs.
    :return: name -> how often which absolute values come; without those that read nothing but 0.
    :raises ModelError: if some values are not finite.
    """
    histograms = {name: Histogram() for name in int8_candidates(model)}

    def watch(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def add(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            values = inputs[0].float().cpu().numpy()
            if not math.isfinite(values.sum()):
                raise ModelError(f'quantize: {name} reads NaN or infinity')
            histograms[name].add(values)
        return add

    hooks = [model.get_submodule(name).register_forward_pre_hook(watch(name))
             for name in histograms]
    try:
        for image in images:
            model(image)
    finally:
        for hook in hooks:
            hook.remove()
    return {name: histogram for name, histogram in histograms.items() if histogram.peak > 0}


def resume_in_int8(model: nn.Module, thresholds: Mapping[str, float]) -> None:
    """
    Give a network the form that it had when a run began.

    :param model: with the weights of the start of that run, changed in place.
    :param thresholds: of that start.
    """
    settle(model)
    put_in_int8(model, thresholds)


def _set(model: nn.Module, thresholds: Mapping[str, float]) -> None:
    for name, threshold in thresholds.items():
        layer = model.get_submodule(name)
        assert isinstance(layer, Int8Conv)
        layer.log2_threshold.fill_(math.log2(threshold))


def _outputs(model: nn.Module, image: Tensor) -> list[FloatArray]:
    return [head.cpu().numpy() for head in model(image)]
