# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
The model card: the only source of preprocessing, decoding and class names of a network.

Values such as channel means are written in ``card.yaml`` only, never in the code.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, get_args, Literal

from lite_detector.core.config import load_yaml, Spec
from lite_detector.core.errors import ModelError
from lite_detector.core.types import ImageSize
import msgspec
from msgspec import Meta
import yaml

CARD_FILE = 'card.yaml'
GRID = 32
"""Multiple for both sides of every network input, in pixels."""

Family = Literal['nanodet', 'nanodet_plus', 'yolov5_lite', 'yolof', 'damo_yolo']
Side = Annotated[int, Meta(ge=GRID, le=4096, multiple_of=GRID)]
Level = Annotated[float, Meta(ge=-1e6, le=1e6)]
Positive = Annotated[float, Meta(gt=0, le=1e6)]
Anchor = tuple[Positive, Positive]
Name = Annotated[str, Meta(pattern=r'^[A-Za-z0-9][A-Za-z0-9_.-]*$', max_length=80)]
Sha256 = Annotated[str, Meta(pattern='^[0-9a-f]{64}$')]
HttpsUrl = Annotated[str, Meta(pattern='^https://')]


Resize = Literal['letterbox_rect', 'stretch_rect', 'letterbox_square', 'stretch']
RESIZES = get_args(Resize)
"""Methods of fitting an image to the network input."""
RECT_RESIZES = ('letterbox_rect', 'stretch_rect')
"""Resize modes with a network input as small as the aspect ratio of the image permits."""


class SizeSpec(Spec):
    """Network input in pixels; both sides are multiples of 32."""

    height: Side
    width: Side


class PreprocessSpec(Spec):
    """Preprocessing from camera pixels to network input: ``(pixel - mean) / std`` per channel."""

    resize: Resize
    """Resize mode: keep the ratio and pad to the largest stride; the same size, but stretched
    instead of padded; keep the ratio and pad to input_size; or stretch to input_size."""
    color: Literal['bgr', 'rgb']
    mean: tuple[Level, Level, Level]
    std: tuple[Positive, Positive, Positive]
    pad: Literal['center', 'bottom_right'] = 'center'
    """Position of the image in the input; only for the letterbox modes."""
    pad_value: Annotated[int, Meta(ge=0, le=255)] = 0
    """Grey level of the padding before normalization, 0 to 255; only for the letterbox modes."""


FAMILY_KEYS: dict[Family, tuple[str, ...]] = {
    'nanodet': ('reg_max', 'grid_offset'),
    'nanodet_plus': ('reg_max', 'grid_offset'),
    'yolov5_lite': ('anchors',),
    'yolof': ('anchors', 'grid_offset', 'center_clamp'),
    'damo_yolo': ('reg_max', 'grid_offset'),
}
"""Keys of ``DecodeSpec`` that a family requires; other keys are not allowed."""


class DecodeSpec(Spec):
    """Decoding from raw outputs to boxes; the card checks which keys a family requires."""

    strides: Annotated[tuple[Annotated[int, Meta(ge=1, le=256)], ...], Meta(min_length=1)]
    score_activation: Literal['none', 'sigmoid']
    """Activation that the decoder applies to class scores; none: the graph ends in a sigmoid."""
    reg_max: Annotated[int, Meta(ge=1, le=64)] | None = None
    """Maximum distance in strides of the GFL families, which predict its distribution."""
    grid_offset: Annotated[float, Meta(ge=0, le=1)] | None = None
    """Offset of cell centres in cells: cell i is at (i + grid_offset) * stride. GFL and YOLOF."""
    anchors: tuple[tuple[Anchor, ...], ...] | None = None
    """Anchor width and height in input pixels, one list per stride; YOLOv5 families and YOLOF."""
    center_clamp: Positive | None = None
    """Maximum distance of a box centre from its anchor centre in input pixels, per axis; YOLOF."""


class Int8Files(Spec):
    """Int8 files of an ncnn network, written by ``quantize``; blob names are the same."""

    param: str
    bin: str  # noqa: A003
    sha256: dict[Literal['param', 'bin'], Sha256] = {}

    def files(self) -> dict[str, str]:
        """Return role -> file name."""
        return {'param': self.param, 'bin': self.bin}


class NcnnFiles(Spec):
    """Files of the ncnn runtime; ``url`` and ``sha256`` have the keys param and bin."""

    param: str
    bin: str  # noqa: A003
    input: str  # noqa: A003
    outputs: Annotated[tuple[str, ...], Meta(min_length=1)]
    url: dict[Literal['param', 'bin'], HttpsUrl] = {}
    sha256: dict[Literal['param', 'bin'], Sha256] = {}
    int8: Int8Files | None = None

    def files(self) -> dict[str, str]:
        """Return role -> file name."""
        return {'param': self.param, 'bin': self.bin}


class OnnxInt8Files(Spec):
    """Int8 files (QDQ) of an ONNX network, written by ``quantize``."""

    file: str
    """Model with uint8 activations around 128, for OpenVINO and the CPU."""
    signed: str
    """Model with int8 activations around 0, for TensorRT."""
    sha256: dict[Literal['file', 'signed'], Sha256] = {}

    def files(self) -> dict[str, str]:
        """Return role -> file name."""
        return {'file': self.file, 'signed': self.signed}


class OnnxFiles(Spec):
    """Files of the ONNX Runtime; ``url`` and ``sha256`` have the key file."""

    file: str
    input: str  # noqa: A003
    outputs: Annotated[tuple[str, ...], Meta(min_length=1)]
    url: dict[Literal['file'], HttpsUrl] = {}
    sha256: dict[Literal['file'], Sha256] = {}
    int8: OnnxInt8Files | None = None

    def files(self) -> dict[str, str]:
        """Return role -> file name."""
        return {'file': self.file}


RuntimeFiles = NcnnFiles | OnnxFiles
HashedFiles = RuntimeFiles | Int8Files | OnnxInt8Files


class Runtimes(Spec):
    """Files of the same network for one or both runtimes."""

    ncnn: NcnnFiles | None = None
    onnx: OnnxFiles | None = None

    def __post_init__(self) -> None:
        if self.ncnn is None and self.onnx is None:
            raise ValueError('no runtime; expected at least one of ncnn, onnx')


class NetworkCard(Spec, kw_only=True):
    """Description of a network that is independent of the runtime."""

    name: Name
    family: Family
    description: str
    license: str  # noqa: A003
    source: str
    input_size: SizeSpec
    preprocess: PreprocessSpec
    decode: DecodeSpec
    class_names: Annotated[tuple[Annotated[str, Meta(min_length=1)], ...], Meta(min_length=1)]

    def __post_init__(self) -> None:
        needed = FAMILY_KEYS[self.family]
        for key in ('anchors', 'reg_max', 'grid_offset', 'center_clamp'):
            if (getattr(self.decode, key) is None) == (key in needed):
                verb = 'needs' if key in needed else 'has no'
                raise ValueError(f'family {self.family} {verb} decode.{key}')
        anchors = self.decode.anchors
        if anchors is not None and (len(anchors) != len(self.decode.strides)
                                    or len({len(level) for level in anchors}) != 1):
            raise ValueError('decode.anchors: expected one list of equal length for each stride')
        if self.family == 'yolof' and len(self.decode.strides) != 1:
            raise ValueError(f'decode.strides: {self.decode.strides}; YOLOF expects one stride')
        if tuple(sorted(set(self.decode.strides))) != self.decode.strides:
            raise ValueError(f'decode.strides: {self.decode.strides}; expected rising values')
        checked_size(self.size, self)
        twice = sorted({name for name in self.class_names if self.class_names.count(name) > 1})
        if twice:
            raise ValueError(f'class_names: duplicate name {twice[0]!r}')

    @property
    def size(self) -> ImageSize:
        """Network input size of the training, in pixels."""
        return ImageSize(self.input_size.height, self.input_size.width)

    @property
    def grid(self) -> int:
        """
        Multiple for both sides of the network input, in pixels.

        The neck adds upsampled feature maps to those of three strides of the backbone.
        """
        return max(GRID, *self.decode.strides[:3])

    @property
    def padded_to(self) -> int:
        """Multiple for the padding of both sides, so that feature maps have no partial cells."""
        return max(GRID, self.decode.strides[-1])


def checked_size(size: ImageSize, card: NetworkCard) -> ImageSize:
    """
    Return a network input size after checking it.

    :param size: Network input size in pixels.
    :param card: Card of the network.
    :raises ValueError: if a side is not a multiple of ``card.grid``.
    """
    if any(side % card.grid for side in size):
        raise ValueError(f'input_size: {size}; expected multiples of {card.grid} for strides '
                         f'{", ".join(map(str, card.decode.strides))}')
    return size


class ModelCard(NetworkCard, kw_only=True):
    """The ``card.yaml`` of a model folder: a network, its files and their origin."""

    format: Literal[1]  # noqa: A003
    runtimes: Runtimes
    metrics: dict[str, Any] = {}
    training: dict[str, Any] = {}
    parity: dict[str, Any] = {}
    quantization: dict[str, Any] = {}

    def network(self) -> NetworkCard:
        """Return the part that is independent of the runtime."""
        return NetworkCard(**{name: getattr(self, name)
                              for name in NetworkCard.__struct_fields__})

    def runtime_files(self, runtime: str) -> RuntimeFiles:
        """
        Return the files of a runtime.

        :param runtime: Name of the runtime: ncnn or onnx.
        :raises ModelError: if the card has no files for it.
        """
        files = getattr(self.runtimes, runtime)
        if files is None:
            have = [name for name in ('ncnn', 'onnx') if getattr(self.runtimes, name)]
            raise ModelError(f'{self.name}: the card has no runtime {runtime!r}; expected '
                             f'{" or ".join(have)}')
        return files

    def int8_files(self) -> NcnnFiles:
        """
        Return the int8 files of the ncnn runtime.

        :raises ModelError: if the card has none.
        """
        files = self.runtimes.ncnn
        if files is None or files.int8 is None:
            raise ModelError(f'{self.name}: has no int8 form; create a model folder with one: '
                             '`lite_detector quantize`')
        return NcnnFiles(files.int8.param, files.int8.bin, files.input, files.outputs,
                         sha256=files.int8.sha256)

    def int8_onnx_files(self, signed: bool) -> OnnxFiles:
        """
        Return the int8 file of the ONNX Runtime.

        :param signed: True: the model with int8 activations around 0.
        :raises ModelError: if the card has none.
        """
        files = self.runtimes.onnx
        if files is None or files.int8 is None:
            raise ModelError(f'{self.name}: has no int8 form for runtime onnx; create one with '
                             '`lite_detector quantize`, which needs the package onnx')
        role: Literal['file', 'signed'] = 'signed' if signed else 'file'
        checksum = files.int8.sha256.get(role)
        return OnnxFiles(files.int8.files()[role], files.input, files.outputs,
                         sha256={'file': checksum} if checksum else {})


def load_card(folder: Path) -> ModelCard:
    """
    Read and check the card of a model folder.

    :raises ConfigError: if the card is absent or invalid.
    """
    return load_yaml(folder / CARD_FILE, ModelCard)


def save_card(folder: Path, card: ModelCard) -> None:
    """
    Write the card of a model folder; empty values are omitted.

    :raises OSError: if the file cannot be written.
    """
    # via JSON, because YAML has no tuples
    data = msgspec.json.decode(msgspec.json.encode(card))
    order = ('format', *NetworkCard.__struct_fields__)
    data = {**{key: data[key] for key in order}, **data}
    text = yaml.dump(_said(data), Dumper=_WholeWords, sort_keys=False, allow_unicode=True,
                     width=90, default_flow_style=None)
    (folder / CARD_FILE).write_text(text, encoding='utf-8')


class _WholeWords(yaml.SafeDumper):
    """A dumper that never breaks lines inside a name such as `traffic light`."""

    def write_plain(self, text: str, split: bool = True) -> None:
        super().write_plain(text, split=False)


def _said(data: Any) -> Any:
    if not isinstance(data, dict):
        return data
    return {key: _said(value) for key, value in data.items() if value not in (None, {})}


def resolve_file(folder: Path, file_name: str) -> Path:
    """
    Return the path of a file in a model folder.

    :param folder: Path of the model folder.
    :param file_name: File name in the card.
    :raises ModelError: if the path leaves the folder (also through a link) or is absent.
    """
    path = path_inside(folder, file_name)
    if not os.path.isfile(path):  # Path.is_file raises an error if the name is too long
        raise ModelError(f'{folder / CARD_FILE}: {file_name!r}: no such file in the model folder')
    return path


def path_inside(folder: Path, file_name: str) -> Path:
    """
    Return the path of a file in a model folder, which may not exist.

    :param folder: Path of the model folder.
    :param file_name: File name in the card.
    :raises ModelError: if the path leaves the folder, also through a link.
    """
    path = folder / file_name
    try:
        inside = path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError):  # too long, a link to itself, or a zero byte
        raise ModelError(f'{folder / CARD_FILE}: {file_name[:80]!r}: not a file name') from None
    if PurePosixPath(file_name).is_absolute() or not inside:
        raise ModelError(f'{folder / CARD_FILE}: {file_name!r}: lies outside the model folder')
    return path


def checked_files(folder: Path, files: HashedFiles) -> dict[str, Path]:
    """
    Return role -> path of the files of a runtime, after checking their sha256.

    :param folder: Path of the model folder.
    :param files: Files of the runtime.
    :raises ModelError: if a file is absent, outside of the folder or has another checksum.
    """
    paths = {role: resolve_file(folder, name) for role, name in files.files().items()}
    for role, wanted in files.sha256.items():
        try:
            got = hashlib.sha256(paths[role].read_bytes()).hexdigest()
        except OSError as error:
            raise ModelError(f'{paths[role]}: {error.strerror}') from None
        if got != wanted:
            raise ModelError(f'{paths[role]}: sha256 is {got}; expected {wanted}; the file is '
                             'damaged or belongs to another model')
    return paths
