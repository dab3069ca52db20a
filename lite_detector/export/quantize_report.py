# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The report of ``quantize``, as text and as a plot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lite_detector.core.config import Spec
from lite_detector.data.pictures import require_matplotlib
from lite_detector.export.quantize import Int8Choice

if TYPE_CHECKING:
    import matplotlib.figure


class Verdict(Spec):
    """AP, size and time of both forms."""

    annotations: str
    """Name of the annotations for AP."""
    images: int
    ap_fp32: float
    ap_int8: float
    loss: float
    """Loss of AP in percent points."""
    max_loss: float
    bytes_float: int
    """Size of the weights in float, mostly in half precision."""
    bytes_int8: int
    size_ratio: float
    cpu_ratio: float
    """CPU time of the network, int8 / fp32, one thread, in one run."""
    machine: str

    @property
    def good(self) -> bool:
        """Return whether the loss of AP is within the limit."""
        return self.loss <= self.max_loss


def summary(verdict: Verdict, choice: Int8Choice) -> str:
    """Return the summary to print."""
    return '\n'.join((
        f'{verdict.images} images of {verdict.annotations}, not used for calibration:',
        f'  {"":6} {"AP":>6} {"bytes":>9} {"CPU time":>9}',
        f'  {"float":6} {verdict.ap_fp32:6.2f} {verdict.bytes_float:9} {1:9.2f}',
        f'  {"int8":6} {verdict.ap_int8:6.2f} {verdict.bytes_int8:9} {verdict.cpu_ratio:9.2f}',
        f'  AP lost: {verdict.loss:.2f}, limit {verdict.max_loss:g}; size '
        f'{verdict.size_ratio:.2f}; thresholds by {choice.method}',
        f'  in float, besides depthwise layers: {", ".join(choice.in_float) or "none"}'))


def report(name: str, verdict: Verdict, choice: Int8Choice) -> str:
    """
    Return the report on a quantized model, as Markdown.

    :param name: Name of the model.
    :param verdict: AP, size and time of both forms.
    :param choice: The chosen int8 form.
    """
    lines = [
        f'# {name} in int8', '', f'Made by `lite_detector quantize` on {verdict.machine}', '',
        '| | AP | bytes of weights | CPU time |', '|---|---|---|---|',
        f'| float | {verdict.ap_fp32:.2f} | {verdict.bytes_float} | 1 |',
        f'| int8 | {verdict.ap_int8:.2f} | {verdict.bytes_int8} ({verdict.size_ratio:.2f}) '
        f'| {verdict.cpu_ratio:.2f} |', '',
        f'AP of {verdict.images} images of {verdict.annotations}, not used for calibration: '
        f'{verdict.loss:.2f} lost, limit {verdict.max_loss:g}. CPU time of the network '
        'alone, one thread, both forms alternating in one run.', '',
        '## Thresholds', '', 'Error of the outputs with all layers in int8, percent:', '',
        '| method | error |', '|---|---|']
    lines += [f'| {f"**{method}**" if method == choice.method else method} | {error:.2f} |'
              for method, error in choice.method_errors.items()]
    lines += ['', '## Layers', '',
              'Error of the outputs with only this layer in int8, percent; depthwise '
              'convolutions are in float.', '', '![layers](quantize.png)', '',
              '| layer | shape | weights | error | precision |', '|---|---|---|---|---|']
    lines += [f'| {layer.name} | {layer.shape} | {layer.weights} | {layer.error:.3f} '
              f'| {layer.precision} |' for layer in choice.layers]
    if choice.held_out_losses:
        lines += ['', '| layers kept in float | AP lost on the held-out images |', '|---|---|']
    lines += [f'| {count} | {loss:.2f} |' for count, loss in choice.held_out_losses.items()]
    return '\n'.join(lines) + '\n'


def draw_layers(name: str, choice: Int8Choice) -> matplotlib.figure.Figure:
    """
    Draw the error that each layer alone causes.

    :param name: Name of the model.
    :param choice: The chosen int8 form.
    :raises LiteDetectorError: if matplotlib is not installed.
    """
    layers = choice.layers
    figure = require_matplotlib().figure.Figure(figsize=(9, 1.5 + 0.17 * len(layers)),
                                                layout='constrained')
    axes = figure.subplots()
    for precision, color in (('int8', 'tab:blue'), ('float', 'tab:orange')):
        rows = [index for index, layer in enumerate(layers) if layer.precision == precision]
        if not rows:
            continue
        axes.barh(rows, [layers[index].error for index in rows], color=color,
                  label=f'in {precision}')
    axes.set(yticks=range(len(layers)), yticklabels=[layer.name for layer in layers],
             xlabel='error of the outputs with only this layer in int8, percent', title=name)
    axes.tick_params(axis='y', labelsize=7)
    axes.invert_yaxis()
    axes.margins(y=0.01)
    axes.legend()
    return figure
