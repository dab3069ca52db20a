# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Files of labels: COCO with a score for each box of a model, and the options of the run."""

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
"""Decimal places of pixels and of scores in the file."""


class LabelInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Model and options of a labelling run, which are the same for all labels of a file."""

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
    """True: results of the image and of its mirror image are averaged."""
    score_threshold: float
    nms_iou_threshold: float
    max_detections: int
    classes: tuple[str, ...]
    """Classes that the model detects."""
    labelled_classes: tuple[str, ...]
    """Classes that people labelled before; the model is not used for them."""
    class_names: tuple[str, ...]
    """All classes: those of the model first, then the other ones."""


class RecordingInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Source of images and labels that were recorded together."""

    recording: str
    topic: str
    labels_topic: str
    class_names: tuple[str, ...]


class Label(NamedTuple):
    """
    A box of an image.

    :param class_name: Name of the class.
    :param bbox: Left, top, width, height in pixels.
    :param score: Confidence of the model, 0 to 1; None: labelled by a person.
    :param is_crowd: True for a group of objects; detections in it are ignored.
    """

    class_name: str
    bbox: tuple[float, float, float, float]
    score: float | None = None
    is_crowd: bool = False


class LabelledImage(NamedTuple):
    """An image that was processed, with or without labels."""

    size: ImageSize
    labels: tuple[Label, ...]
    crc32: int | None = None
    """Checksum of the image file, to detect another file of the same name; None: not checked."""


class _Record(msgspec.Struct):
    width: int
    height: int
    crc32: int | None = None


class _Content(msgspec.Struct):
    info: LabelInfo
    images: list[_Record]


def read_labels(path: Path, info: LabelInfo) -> dict[str, LabelledImage]:
    """
    Read the labels of an earlier run that is to be continued.

    :param path: File of :func:`write_labels`; it may be absent.
    :param info: Options of the present run, which must be equal to those of the file.
    :return: File name -> labels; empty if there is no file.
    :raises DataError: if another model or other options wrote it, or it is another kind of file.
    """
    if not path.exists():
        return {}
    coco = load_coco(path, findings=Findings(keep_going=True))
    try:
        content = msgspec.json.decode(path.read_bytes(), type=_Content)
    except msgspec.ValidationError:
        raise DataError(f'{path}: not a file of `label`; it would be overwritten; choose another '
                        '--output') from None
    for name in LabelInfo.__struct_fields__:
        got, wanted = getattr(content.info, name), getattr(info, name)
        if got != wanted:
            raise DataError(f'{path}: labelled with {name} {_said(got)}; this run has '
                            f'{_said(wanted)}; choose another --output')
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
    Write the labels atomically.

    :param path: Path of the file.
    :param info: Options of the labelling run, or source of the recording.
    :param images: File names and their labels; image ids count from 1.
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
