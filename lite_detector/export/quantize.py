# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Choose the layers to compute in int8, by measurement.

First, the threshold method is chosen whose outputs differ least with all layers in int8. Then the
error of each layer alone is measured. A few small layers cause most of the error and stay in float
from the start. If AP is lost, more layers stay in float.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
import tempfile
from typing import Any

from lite_detector.backends.base import Backend, open_backend
from lite_detector.core.agreement import output_error
from lite_detector.core.config import Spec
from lite_detector.core.errors import ModelError
from lite_detector.core.model_card import Int8Files, ModelCard, NcnnFiles, Runtimes
from lite_detector.core.types import FloatArray
from lite_detector.export.calibration import Histogram, METHODS
from lite_detector.export.import_ncnn import read_network, StoredLayer
from lite_detector.export.int8_network import candidates, NcnnText, write_int8
from lite_detector.train.weights.conv_weights import ConvWeights
import msgspec
import numpy as np

SHARE = 0.5
"""
Share of the sum of squared layer errors to remove from the start. AP of one or two hundred images
is too noisy to measure it, unlike the outputs.
"""
HARMLESS = 1.0
"""Largest output error in percent with all layers in int8 for which no layer stays in float."""

TABLE = 'table'
"""Method name for thresholds that are given in a table."""

Measure = Callable[[Backend], float]
"""Function from a network to its AP in percent on the held-out images."""
Progress = Callable[[str, Sequence[Any]], Iterable[Any]]
"""Function that returns the items of a step and may show the progress."""


class LayerChoice(Spec):
    """Effect of a layer on the outputs, and its chosen precision."""

    name: str
    shape: str
    weights: int
    error: float
    """Error of the outputs in percent, with only this layer in int8."""
    precision: str
    """int8 or float."""


class Int8Choice(Spec):
    """The chosen int8 form, and the measurements for the choice."""

    method: str
    """Threshold method, a key of ``METHODS``, or ``TABLE``."""
    method_errors: dict[str, float]
    """Method -> error of the outputs in percent, with all layers in int8."""
    layers: tuple[LayerChoice, ...]
    """Layers that were measured alone, most sensitive first."""
    in_float: tuple[str, ...]
    """Names of the layers that could be int8 and stay in float."""
    thresholds: dict[str, float]
    """Name of each layer in int8 -> its largest absolute input."""
    held_out_losses: dict[int, float]
    """Number of layers kept in float -> AP lost on the held-out images, in percent points."""


class FloatNetwork:
    """
    A network in float, and its possible int8 forms.

    :param card: Model card of the network.
    :param folder: Folder of its files.
    :raises ModelError: if it is not for ncnn, not in float, or has unknown layers.
    """

    def __init__(self, card: ModelCard, folder: Path) -> None:
        files = card.runtime_files('ncnn')
        assert isinstance(files, NcnnFiles), 'the section of ncnn'
        self._card, self._folder, self._files = card, folder, files
        self._backend = open_backend(card, folder, 'ncnn', 1, 'fp32')
        self.layers: list[StoredLayer] = read_network(folder / files.param, folder / files.bin)

    @property
    def convolutions(self) -> dict[str, ConvWeights]:
        """Return name -> weights of the layers that can be int8."""
        return {stored.layer.name: stored.weights for stored in candidates(self.layers)}

    def infer(self, blob: FloatArray) -> Sequence[FloatArray]:
        """Return the outputs for a network input."""
        return self._backend.infer(blob)

    def observe(self, blobs: Iterable[FloatArray]) -> dict[str, Histogram]:
        """
        Run the network and collect histograms of the layer inputs.

        :param blobs: Network inputs.
        :return: Name of each layer that can be int8 -> histogram of its absolute inputs.
        :raises ModelError: if some are not finite.
        """
        read = {stored.layer.name: stored.layer.bottoms[0] for stored in candidates(self.layers)}
        names = tuple(dict.fromkeys(read.values()))  # in order of execution
        files = msgspec.structs.replace(self._files, outputs=names)
        backend = open_backend(_with_ncnn(self._card, files), self._folder, 'ncnn', 1, 'fp32')
        histograms = {name: Histogram() for name in names}
        for blob in blobs:
            for name, values in zip(names, backend.infer(blob), strict=True):
                if not np.isfinite(values).all():
                    raise ModelError(f'{self._card.name}: blob {name!r} has NaN or infinity')
                histograms[name].add(values)
        return {layer: histograms[name] for layer, name in read.items()}

    def open_int8(self, thresholds: Mapping[str, float]) -> Backend:
        """Load the form with these layers in int8."""
        with tempfile.TemporaryDirectory() as name:
            files = NcnnFiles('model.param', 'model.bin', self._files.input, self._files.outputs)
            write_text(Path(name), files, write_int8(self.layers, thresholds))
            return open_backend(_with_ncnn(self._card, files), Path(name), 'ncnn', 1, 'fp32')


def write_text(folder: Path, files: NcnnFiles | Int8Files, text: NcnnText) -> None:
    """Write both files of a network."""
    (folder / files.param).write_text(text.param, encoding='ascii')
    (folder / files.bin).write_bytes(text.weights)


def choose(network: FloatNetwork, calibration: Iterable[FloatArray],
           held_out: Sequence[FloatArray], measure: Measure, max_loss: float,
           progress: Progress = lambda _, items: items) -> Int8Choice:
    """
    Find thresholds, and the layers to keep in float.

    Layers stay in float in the order of their error per weight: first those with half of the
    error, then twice as many at each step until the loss of AP is small enough.

    :param network: Network in float.
    :param calibration: Network inputs for the thresholds.
    :param held_out: Other network inputs, at least one, to compare outputs on.
    :param measure: Function that returns the AP.
    :param max_loss: Largest loss of AP in percent points.
    :param progress: Function called with the name and the items of each step.
    :raises ModelError: if there is no layer to quantize.
    """
    histograms = {name: histogram for name, histogram in network.observe(calibration).items()
                  if histogram.peak > 0}
    if not histograms:
        raise ModelError('the network has no convolution that can be int8')
    error_of = _error_against(network, held_out)
    thresholds = {method: {name: threshold(histogram) for name, histogram in histograms.items()}
                  for method, threshold in METHODS.items()}
    method_errors = {method: error_of(thresholds[method])
                     for method in progress('thresholds', list(METHODS))}
    method = min(method_errors, key=method_errors.__getitem__)
    chosen = thresholds[method]
    alone = {name: error_of({name: chosen[name]}) for name in progress('layers', list(chosen))}
    convolutions = network.convolutions
    order = sorted(alone, reverse=True,
                   key=lambda name: alone[name] ** 2 / convolutions[name].weight.size)
    first = 0 if method_errors[method] <= HARMLESS else half_of_the_harm(
        [alone[name] for name in order])
    losses = _search(network, [(name, chosen[name]) for name in order], first, measure, max_loss)
    in_float = order[:list(losses)[-1]]
    return Int8Choice(method, method_errors, _layer_choices(network, alone, in_float),
                      tuple(in_float), {name: chosen[name] for name in order[len(in_float):]},
                      losses)


def take(network: FloatNetwork, thresholds: Mapping[str, float], held_out: Sequence[FloatArray],
         progress: Progress = lambda _, items: items) -> Int8Choice:
    """
    Use given thresholds: layers with a threshold are in int8, all others in float.

    :param network: Network in float.
    :param thresholds: Name of a layer -> its largest absolute input.
    :param held_out: Network inputs to compare outputs on, at least one.
    :param progress: Function called with the name and the items of each step.
    """
    error_of = _error_against(network, held_out)
    alone = {name: error_of({name: thresholds[name]})
             for name in progress('layers', list(thresholds))}
    return Int8Choice(TABLE, {TABLE: error_of(thresholds)}, _layer_choices(network, alone, ()),
                      tuple(name for name in network.convolutions if name not in thresholds),
                      dict(thresholds), {})


def _error_against(network: FloatNetwork, held_out: Sequence[FloatArray]
                   ) -> Callable[[Mapping[str, float]], float]:
    """Return a function from thresholds to the error of the outputs with these layers in int8."""
    wanted = [network.infer(blob) for blob in held_out]

    def error_of(thresholds: Mapping[str, float]) -> float:
        backend = network.open_int8(thresholds)
        error = output_error(wanted, (backend.infer(blob) for blob in held_out))
        return round(error, 4) if error == error else np.inf  # NaN must not count as the best
    return error_of


def _layer_choices(network: FloatNetwork, alone: Mapping[str, float],
                   in_float: Collection[str]) -> tuple[LayerChoice, ...]:
    convolutions = network.convolutions
    return tuple(LayerChoice(name, str(convolutions[name].shape), convolutions[name].weight.size,
                             alone[name], 'float' if name in in_float else 'int8')
                 for name in sorted(alone, key=alone.__getitem__, reverse=True))


def half_of_the_harm(errors: Sequence[float]) -> int:
    """
    Return the number of layers with ``SHARE`` of the sum of squares, but never all.

    :param errors: Errors of each layer alone, in the order in which layers stay in float.
    """
    harm = np.cumsum(np.square(errors))
    return min(int(np.searchsorted(harm, SHARE * harm[-1])) + 1, len(errors) - 1)


def _search(network: FloatNetwork, thresholds: Sequence[tuple[str, float]], first: int,
            measure: Measure, limit: float) -> dict[int, float]:
    """Return layers in float -> AP lost, in the order tried; thresholds: largest error first."""
    wanted, count = measure(network), first
    losses: dict[int, float] = {}
    while count < len(thresholds):
        losses[count] = round(wanted - measure(network.open_int8(dict(thresholds[count:]))), 2)
        if losses[count] <= limit:
            break
        count = max(1, 2 * count)
    return losses


def _with_ncnn(card: ModelCard, files: NcnnFiles) -> ModelCard:
    return msgspec.structs.replace(card, runtimes=Runtimes(
        msgspec.structs.replace(files, sha256={}, int8=None)))
