# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
The model card: the only source of preprocessing, decoding and class names of a network.

A number such as a channel mean stands in a ``card.yaml`` and nowhere in the code.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from lite_detector.core.config import load_yaml, Spec
from lite_detector.core.errors import ModelError
from lite_detector.core.types import ImageSize
import msgspec
from msgspec import Meta
import yaml

CARD_FILE = 'card.yaml'
GRID = 32
"""Both sides of every network input are multiples of this."""

Family = Literal['nanodet', 'nanodet_plus', 'yolov5_lite', 'yolof', 'damo_yolo']
Side = Annotated[int, Meta(ge=GRID, le=4096, multiple_of=GRID)]
Level = Annotated[float, Meta(ge=-1e6, le=1e6)]
Positive = Annotated[float, Meta(gt=0, le=1e6)]
Anchor = tuple[Positive, Positive]
Name = Annotated[str, Meta(pattern=r'^[A-Za-z0-9][A-Za-z0-9_.-]*$', max_length=80)]
Sha256 = Annotated[str, Meta(pattern='^[0-9a-f]{64}$')]
HttpsUrl = Annotated[str, Meta(pattern='^https://')]


class SizeSpec(Spec):
    """Network input in pixels; both sides on the grid of 32."""

    height: Side
    width: Side


class PreprocessSpec(Spec):
    """From camera pixels to network input: ``(pixel - mean) / std`` in the given order."""

    resize: Literal['letterbox_rect', 'letterbox_square', 'stretch']
    """Keep ratio and pad to the largest stride; keep ratio and pad to input_size; or neither."""
    color: Literal['bgr', 'rgb']
    mean: tuple[Level, Level, Level]
    std: tuple[Positive, Positive, Positive]
    pad: Literal['center', 'bottom_right'] = 'center'
    """Letterbox only: where the image lies in the input."""
    pad_value: Annotated[int, Meta(ge=0, le=255)] = 0
    """Letterbox only: grey level of the border, before normalisation."""


FAMILY_KEYS: dict[Family, tuple[str, ...]] = {
    'nanodet': ('reg_max', 'grid_offset'),
    'nanodet_plus': ('reg_max', 'grid_offset'),
    'yolov5_lite': ('anchors',),
    'yolof': ('anchors', 'grid_offset', 'center_clamp'),
    'damo_yolo': ('reg_max', 'grid_offset'),
}
"""The keys of a ``DecodeSpec`` that a family needs; it has none of the others."""


class DecodeSpec(Spec):
    """From raw outputs to boxes; which keys a family needs is checked by the card."""

    strides: Annotated[tuple[Annotated[int, Meta(ge=1, le=256)], ...], Meta(min_length=1)]
    score_activation: Literal['none', 'sigmoid']
    """What the decoder still has to apply to class scores; none: the graph ends in a sigmoid."""
    reg_max: Annotated[int, Meta(ge=1, le=64)] | None = None
    """GFL families: a distance is the mean of a distribution over 0 .. reg_max strides."""
    grid_offset: Annotated[float, Meta(ge=0, le=1)] | None = None
    """GFL families and YOLOF: the centre of cell i lies at (i + grid_offset) * stride."""
    anchors: tuple[tuple[Anchor, ...], ...] | None = None
    """YOLOv5 families and YOLOF: width and height in input pixels, one list per stride."""
    center_clamp: Positive | None = None
    """YOLOF: input pixels that a box lies at most beside its anchor, in x and in y."""


class Int8Files(Spec):
    """The int8 form of an ncnn network, with the same blobs; ``quantize`` makes it."""

    param: str
    bin: str  # noqa: A003
    sha256: dict[Literal['param', 'bin'], Sha256] = {}

    def files(self) -> dict[str, str]:
        """Return role -> file name."""
        return {'param': self.param, 'bin': self.bin}


class NcnnFiles(Spec):
    """The ncnn runtime of a model; ``url`` and ``sha256`` are keyed by param and bin."""

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
    """The int8 form (QDQ) of an ONNX network; ``quantize`` makes it."""

    file: str
    """What layers read is uint8 around 128, for OpenVINO and the CPU."""
    signed: str
    """What layers read is int8 around 0, for TensorRT."""
    sha256: dict[Literal['file', 'signed'], Sha256] = {}

    def files(self) -> dict[str, str]:
        """Return role -> file name."""
        return {'file': self.file, 'signed': self.signed}


class OnnxFiles(Spec):
    """The ONNX Runtime of a model; ``url`` and ``sha256`` are keyed by file."""

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
    """The same network for one or both runtimes."""

    ncnn: NcnnFiles | None = None
    onnx: OnnxFiles | None = None

    def __post_init__(self) -> None:
        if self.ncnn is None and self.onnx is None:
            raise ValueError('give at least one of ncnn, onnx')


class NetworkCard(Spec, kw_only=True):
    """What has to be known to run a network and to name what it finds, in any runtime."""

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
            raise ValueError('decode.anchors: wanted one list of equal length for each stride')
        if self.family == 'yolof' and len(self.decode.strides) != 1:
            raise ValueError(f'decode.strides: got {self.decode.strides}, wanted the one of YOLOF')
        if tuple(sorted(set(self.decode.strides))) != self.decode.strides:
            raise ValueError(f'decode.strides: got {self.decode.strides}, wanted rising values')
        checked_size(self.size, self)
        twice = sorted({name for name in self.class_names if self.class_names.count(name) > 1})
        if twice:
            raise ValueError(f'class_names: {twice[0]!r} is named twice')

    @property
    def size(self) -> ImageSize:
        """Network input the model was made for."""
        return ImageSize(self.input_size.height, self.input_size.width)

    @property
    def grid(self) -> int:
        """
        Both sides of the network input are multiples of this.

        A neck adds maps that it doubles to finer ones of the backbone, which has three strides.
        """
        return max(GRID, *self.decode.strides[:3])

    @property
    def padded_to(self) -> int:
        """Both sides of an input that keeps its ratio are multiples of this, so that cells fit."""
        return max(GRID, self.decode.strides[-1])


def checked_size(size: ImageSize, card: NetworkCard) -> ImageSize:
    """
    Return a network input size if a network can take it.

    :raises ValueError: if a side is off the grid of the network.
    """
    if any(side % card.grid for side in size):
        raise ValueError(f'input_size: got {size}, wanted multiples of {card.grid} for strides '
                         f'{", ".join(map(str, card.decode.strides))}')
    return size


class ModelCard(NetworkCard, kw_only=True):
    """The ``card.yaml`` of a model folder: a network, its files and where it comes from."""

    format: Literal[1]  # noqa: A003
    runtimes: Runtimes
    metrics: dict[str, Any] = {}
    training: dict[str, Any] = {}
    parity: dict[str, Any] = {}
    quantization: dict[str, Any] = {}

    def network(self) -> NetworkCard:
        """Return the part that holds in any runtime."""
        return NetworkCard(**{name: getattr(self, name)
                              for name in NetworkCard.__struct_fields__})

    def runtime_files(self, runtime: str) -> RuntimeFiles:
        """
        Return the section of one runtime.

        :param runtime: ncnn or onnx.
        :raises ModelError: if the card has none for it.
        """
        files = getattr(self.runtimes, runtime)
        if files is None:
            have = [name for name in ('ncnn', 'onnx') if getattr(self.runtimes, name)]
            raise ModelError(f'{self.name}: card has no runtime {runtime!r}; it has '
                             f'{", ".join(have)}')
        return files

    def int8_files(self) -> NcnnFiles:
        """
        Return the section of ncnn with the files of its int8 form.

        :raises ModelError: if the card has none.
        """
        files = self.runtimes.ncnn
        if files is None or files.int8 is None:
            raise ModelError(f'{self.name}: has no int8 form; make a folder that has one with '
                             '`lite_detector quantize`')
        return NcnnFiles(files.int8.param, files.int8.bin, files.input, files.outputs,
                         sha256=files.int8.sha256)

    def int8_onnx_files(self, signed: bool) -> OnnxFiles:
        """
        Return the section of ONNX Runtime with the file of its int8 form.

        :param signed: whether what layers read is int8 around 0.
        :raises ModelError: if the card has none.
        """
        files = self.runtimes.onnx
        if files is None or files.int8 is None:
            raise ModelError(f'{self.name}: has no int8 form for runtime onnx; `lite_detector '
                             'quantize` makes one where the package onnx is installed')
        role: Literal['file', 'signed'] = 'signed' if signed else 'file'
        checksum = files.int8.sha256.get(role)
        return OnnxFiles(files.int8.files()[role], files.input, files.outputs,
                         sha256={'file': checksum} if checksum else {})


def load_card(folder: Path) -> ModelCard:
    """
    Read and check the card of a model folder.

    :raises ConfigError: if it is absent or says something impossible.
    """
    return load_yaml(folder / CARD_FILE, ModelCard)


def save_card(folder: Path, card: ModelCard) -> None:
    """
    Write the card of a model folder; what a section does not say is left out.

    :raises OSError: if it cannot be written.
    """
    # through JSON, because YAML has no tuples
    data = msgspec.json.decode(msgspec.json.encode(card))
    order = ('format', *NetworkCard.__struct_fields__)
    data = {**{key: data[key] for key in order}, **data}
    text = yaml.dump(_said(data), Dumper=_WholeWords, sort_keys=False, allow_unicode=True,
                     width=90, default_flow_style=None)
    (folder / CARD_FILE).write_text(text, encoding='utf-8')


class _WholeWords(yaml.SafeDumper):
    """Breaks lines between the items of a list, but not inside a name like `traffic light`."""

    def write_plain(self, text: str, split: bool = True) -> None:
        super().write_plain(text, split=False)


def _said(data: Any) -> Any:
    if not isinstance(data, dict):
        return data
    return {key: _said(value) for key, value in data.items() if value not in (None, {})}


def resolve_file(folder: Path, file_name: str) -> Path:
    """
    Return the path of a file that a card names.

    :raises ModelError: if it leaves the folder (also through a link) or is absent.
    """
    path = path_inside(folder, file_name)
    if not os.path.isfile(path):  # Path raises where a name is too long
        raise ModelError(f'{folder / CARD_FILE}: {file_name!r} is not in the model folder')
    return path


def path_inside(folder: Path, file_name: str) -> Path:
    """
    Return where a file that a card names lies, or would lie.

    :raises ModelError: if that leaves the folder, also through a link.
    """
    path = folder / file_name
    try:
        inside = path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError):  # too long, a link to itself, a zero byte
        raise ModelError(f'{folder / CARD_FILE}: {file_name[:80]!r} is no file name') from None
    if PurePosixPath(file_name).is_absolute() or not inside:
        raise ModelError(f'{folder / CARD_FILE}: {file_name!r} lies outside the model folder')
    return path


def checked_files(folder: Path, files: HashedFiles) -> dict[str, Path]:
    """
    Return role -> path of a runtime's files, after holding them against the card's sha256.

    :raises ModelError: if one is absent, outside the folder or not the one the card means.
    """
    paths = {role: resolve_file(folder, name) for role, name in files.files().items()}
    for role, wanted in files.sha256.items():
        try:
            got = hashlib.sha256(paths[role].read_bytes()).hexdigest()
        except OSError as error:
            raise ModelError(f'{paths[role]}: {error.strerror}') from None
        if got != wanted:
            raise ModelError(f'{paths[role]}: sha256 is {got}, the card wants {wanted}; '
                             'the file is damaged or belongs to another model')
    return paths
