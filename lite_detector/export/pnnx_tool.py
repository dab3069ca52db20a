# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Run pnnx, which converts TorchScript to ncnn files, and check its output.

pnnx reports success even with an unknown operation. ncnn then cannot load the file, or crashes
when it runs the network.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
import subprocess
import tempfile

from lite_detector.core.errors import ModelError
from lite_detector.core.model_card import NcnnFiles
from lite_detector.core.types import ImageSize
from lite_detector.export.half_weights import store_half

TIMEOUT_S = 300
"""Time limit of pnnx. It takes less than half a minute; an unsuitable graph may never end."""


def find_pnnx() -> Path:
    """
    Return the path of the program, which is part of the Python package of that name.

    :raises ModuleNotFoundError: if the package is not installed.
    """
    # not imported, because the package would import torch only to start a program
    spec = find_spec('pnnx')
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError('No module named pnnx', name='pnnx')
    return Path(spec.origin).with_name('pnnx')


def convert(torchscript: bytes, folder: Path, input_size: ImageSize, files: NcnnFiles) -> None:
    """
    Write the ncnn files of a traced network.

    :param torchscript: Output of ``torch.jit.save``; one input, raw heads as outputs.
    :param folder: Output folder.
    :param input_size: Input size of the trace in network pixels.
    :param files: Names of the files and of the blobs.
    :raises ModelError: if pnnx fails or writes operations that ncnn does not have.
    :raises OSError: if a file cannot be written.
    """
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix='pnnx-') as name:
        scratch = Path(name)
        (scratch / 'net.pt').write_bytes(torchscript)
        log = _run(scratch, input_size)
        param, weights = scratch / 'net.ncnn.param', scratch / 'net.ncnn.bin'
        if not (param.is_file() and weights.is_file()):
            raise ModelError(f'pnnx wrote no ncnn files: {log}')
        blobs = {'in0': files.input,
                 **{f'out{index}': output for index, output in enumerate(files.outputs)}}
        text = with_blob_names(param.read_text(encoding='utf-8'), blobs)
        (folder / files.param).write_text(text, encoding='utf-8')
        store_half(param, weights, folder / files.bin)


def with_blob_names(param: str, names: Mapping[str, str]) -> str:
    """
    Return the text of a ``.param`` file with some blobs renamed.

    :param param: Text written by pnnx.
    :param names: Old name -> new name.
    :raises ModelError: if ncnn does not have a layer, or a blob is missing.
    """
    magic, counts, *lines = param.splitlines()
    renamed, produced = [magic, counts], set()
    for line in lines:
        kind, layer, bottoms, tops, *rest = line.split()
        if not kind.isalnum():  # aten::..., pnnx.Expression, F.pad, torch.gather
            raise ModelError(f'pnnx wrote a layer {kind!r}, which ncnn does not have; the network '
                             'needs another form of this operation')
        first, last = int(bottoms), int(bottoms) + int(tops)
        produced.update(rest[first:last])
        blobs = [names.get(blob, blob) for blob in rest[:last]]
        renamed.append(' '.join((f'{kind:24}', f'{layer:24}', bottoms, tops, *blobs,
                                 *rest[last:])))
    missing = sorted(names.keys() - produced)
    if missing:
        raise ModelError(f'pnnx wrote a network without blob {missing[0]!r}; expected one input '
                         f'and {len(names) - 1} outputs')
    return '\n'.join(renamed) + '\n'


def _run(scratch: Path, input_size: ImageSize) -> str:
    """Run pnnx on net.pt and return the end of its output, in one line."""
    shape = f'inputshape=[1,3,{input_size.height},{input_size.width}]'
    try:
        done = subprocess.run([find_pnnx(), 'net.pt', shape, 'fp16=0'], cwd=scratch, text=True,
                              errors='replace', stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              stdin=subprocess.DEVNULL, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise ModelError(f'pnnx did not finish within {TIMEOUT_S} s') from None
    except OSError as error:
        raise ModelError(f'{find_pnnx()}: cannot run: {error.strerror}') from None
    log = ' '.join(done.stdout.split())[-300:]
    if done.returncode != 0:
        raise ModelError(f'pnnx failed (code {done.returncode}): {log}')
    return log
