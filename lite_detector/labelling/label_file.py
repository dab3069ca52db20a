# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The file of labels: COCO, with a score in each box of the model and with who gave it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from lite_detector.core.atomic_files import atomic_file
from lite_detector.core.errors import DataError
from lite_detector.core.types import ImageSize
from lite_detector.data.coco import load_coco
from lite_detector.data.findings import Findings
import msgspec

DIGITS, SCORE_DIGITS = 2, 4
"""Of pixels and of scores: finer than any model knows."""


class LabelInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Who labelled, and how: the labels of one file all have the same."""

    teacher: str
    """Name of the model."""
    family: str
    weights_sha256: str
    runtime: str
    precision: str
    input_size: str
    """Width x height in pixels."""
    resize: str
    flip: bool
    """The mean of the image and its mirror image."""
    score_threshold: float
    nms_iou_threshold: float
    max_detections: int
    classes: tuple[str, ...]
    """Those that the model looked for."""
    labelled_classes: tuple[str, ...]
    """Those that people had labelled before: the model had no say in them."""
    class_names: tuple[str, ...]
    """Both, in the order of the model, then those that it does not know."""


class RecordingInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Where images came from whose labels were recorded with them."""

    recording: str
    topic: str
    labels_topic: str
    class_names: tuple[str, ...]


class Label(NamedTuple):
    """
    A box of an image.

    :param bbox: left, top, width, height in pixels.
    :param score: how far the model believes it, in [0, 1]; None: certain.
    :param is_crowd: what is found there is neither right nor wrong.
    """

    class_name: str
    bbox: tuple[float, float, float, float]
    score: float | None = None
    is_crowd: bool = False


class LabelledImage(NamedTuple):
    """An image that was looked at, whether anything was found or not."""

    size: ImageSize
    labels: tuple[Label, ...]
    crc32: int | None = None
    """Of the file, by which another one of the same name is known; None: nobody asks."""


class _Record(msgspec.Struct):
    width: int
    height: int
    crc32: int | None = None


class _Content(msgspec.Struct):
    info: LabelInfo
    images: list[_Record]


def read_labels(path: Path, info: LabelInfo) -> dict[str, LabelledImage]:
    """
    Return file name -> labels of an earlier run, to go on with.

    :param path: of :func:`write_labels`; nothing is known where there is none.
    :param info: of this run, which must be that of the file.
    :raises DataError: if another model or other options wrote it, or it is another kind of file.
    """
    if not path.exists():
        return {}
    coco = load_coco(path, findings=Findings(keep_going=True))
    try:
        content = msgspec.json.decode(path.read_bytes(), type=_Content)
    except msgspec.ValidationError:
        raise DataError(f'{path}: these are no labels of `label`, which would be lost; use '
                        'another --output') from None
    for name in LabelInfo.__struct_fields__:
        got, wanted = getattr(content.info, name), getattr(info, name)
        if got != wanted:
            raise DataError(f'{path}: labelled with {name} {_said(got)}, now it is '
                            f'{_said(wanted)}; use another --output')
    names = {category.category_id: category.name for category in coco.categories}
    labels = defaultdict(list)
    for each in coco.annotations:
        labels[each.image_id].append(Label(names[each.category_id], each.bbox, each.score,
                                           each.iscrowd != 0))
    return {image.file_name: LabelledImage(ImageSize(each.height, each.width),
                                           tuple(labels[image.image_id]), each.crc32)
            for image, each in zip(coco.images, content.images, strict=True)}


def write_labels(path: Path, info: LabelInfo | RecordingInfo,
                 images: Iterable[tuple[str, LabelledImage]]) -> None:
    """
    Write labels, whole or not at all.

    :param images: file names with what is in them; ids count from 1.
    :raises DataError: if the file cannot be written.
    """
    category_ids = {name: index for index, name in enumerate(info.class_names, start=1)}
    records, annotations = [], []
    for image_id, (file_name, image) in enumerate(images, start=1):
        records.append({'id': image_id, 'file_name': file_name, 'width': image.size.width,
                        'height': image.size.height}
                       | ({} if image.crc32 is None else {'crc32': image.crc32}))
        annotations += [_annotation(image_id, category_ids[label.class_name], label)
                        for label in image.labels]
    for index, annotation in enumerate(annotations, start=1):
        annotation['id'] = index
    content = {'info': info, 'images': records, 'annotations': annotations, 'categories': [
        {'id': category_id, 'name': name} for name, category_id in category_ids.items()]}
    try:
        with atomic_file(path) as scratch:
            scratch.write_bytes(msgspec.json.encode(content) + b'\n')
    except OSError as error:
        raise DataError(f'{path}: cannot write: {error.strerror}') from None


def _annotation(image_id: int, category_id: int, label: Label) -> dict[str, Any]:
    bbox = [round(value, DIGITS) for value in label.bbox]
    annotation = {'image_id': image_id, 'category_id': category_id, 'bbox': bbox,
                  'area': round(bbox[2] * bbox[3], DIGITS), 'iscrowd': int(label.is_crowd)}
    if label.score is not None:
        annotation['score'] = round(label.score, SCORE_DIGITS)
    return annotation


def _said(value: Any) -> str:
    if isinstance(value, tuple):
        return f'{", ".join(value[:3]) or "none"}{" ..." if len(value) > 3 else ""}'
    return str(value)
