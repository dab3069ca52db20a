# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Checks of labelled images for errors and oddities; all findings are collected."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from lite_detector.core.errors import ImageError
from lite_detector.core.geometry import clip_boxes
from lite_detector.core.image_header import claimed_size
from lite_detector.core.media import decode_image, FILE_PIXELS
from lite_detector.core.types import FloatArray, ImageSize, size_of
from lite_detector.data.dataset import Dataset, describe_size_error, ImageLabels
from lite_detector.data.duplicates import ImagePrints, Pairs
from lite_detector.data.findings import Findings
import msgspec
import numpy as np

INPUT_SIDE = 320
"""Network input side in pixels for the second table of sizes."""
SMALL, LARGE = 32.0, 96.0
"""Limits of the COCO size classes: square root of the box area in pixels."""
TINY = 2.0
"""Side in pixels; a smaller box is more often an annotation error than an object."""
BORDER = 1.0
"""Tolerance in pixels for boxes over the image border, because tools round differently."""
RARE = 10
"""Recommended minimum number of boxes per class."""

FINDINGS = {
    'cut_off': 'JPEG files that end too early',
    'outside': f'boxes more than {BORDER:g} pixel outside their image',
    'tiny': f'boxes with a side below {TINY:g} pixels',
    'unknown_class': 'classes that are not among the class names',
    'rare_class': f'classes with fewer than {RARE} boxes',
    'duplicate': 'images that are the same file as another one',
    'near_duplicate': 'images that look like another one',
    'leak': 'images that are the same file as one of the other split',
    'near_leak': 'images that look like one of the other split',
}
"""Kind of a finding -> description, in the order of the report."""

Progress = Callable[[Sequence[ImageLabels]], Iterable[ImageLabels]]
"""Wrapper of an iterable that may show a progress bar."""


class SplitReport(msgspec.Struct):
    """Findings and statistics of one dataset."""

    annotations: str
    images: int
    boxes: int
    """Number of boxes without crowds and difficult objects."""
    ignored: int
    """Number of crowds and difficult objects."""
    soft: int
    """Number of boxes with a score below 1, labelled by a model."""
    images_without_boxes: int
    classes: dict[str, int]
    """Class name -> number of boxes."""
    sizes: dict[str, int]
    """COCO size class (small, medium, large) -> number of boxes, by the area in the image."""
    sizes_at_320: dict[str, int]
    """The same after the image is resized to a longer side of 320 pixels."""
    findings: dict[str, list[str]]
    """Kind (key of FINDINGS, SKIPPED or NOTED) -> messages, each with file and line if known."""
    refused: str | None
    """Reason why training refuses the dataset; None: it accepts the dataset."""
    side_lengths: list[float]
    """Square root of the area of each box, in pixels of its image."""
    prints: ImagePrints
    """Hashes of the images that can be read."""

    def figures(self) -> dict[str, Any]:
        """Return the fields that are written to the JSON file."""
        return {name: getattr(self, name) for name in self.__struct_fields__
                if name not in ('side_lengths', 'prints')}


def check_dataset(dataset: Dataset, class_names: Sequence[str],
                  progress: Progress = iter) -> SplitReport:
    """
    Check every image and every box.

    :param dataset: Dataset with the class names of its annotations; images may be missing. Its
        findings get the unusable images.
    :param class_names: Expected class names.
    :param progress: Wrapper of the images that may show a progress bar.
    """
    findings: dict[str, list[str]] = defaultdict(list)
    prints = ImagePrints()
    sides: list[FloatArray] = [np.zeros(0, np.float32)]
    sides_at_320 = list(sides)
    for labels in progress(dataset.labels):
        size = _check_image(labels, findings, prints, dataset.findings)
        if size is None:
            continue
        boxes = labels.boxes_in(size)
        _check_boxes(labels, boxes, size, dataset, findings)
        lengths = np.sqrt(_areas(boxes[~labels.ignore]))
        sides.append(lengths)
        sides_at_320.append(lengths * np.float32(INPUT_SIDE / max(size)))
    for kind, lines in dataset.findings.lines().items():
        findings[kind] = lines + findings[kind]
    classes = _count_classes(dataset)
    _check_classes(dataset, classes, class_names, findings)
    findings['duplicate'] = _name_pairs(prints, prints, prints.same())
    findings['near_duplicate'] = _name_pairs(prints, prints, prints.alike())
    return SplitReport(
        annotations=str(dataset.source), images=len(dataset),
        boxes=sum(classes.values()),
        ignored=sum(int(labels.ignore.sum()) for labels in dataset.labels),
        soft=dataset.soft_boxes,
        images_without_boxes=sum(not len(labels.class_ids) for labels in dataset.labels),
        classes={name: classes[name] for name in dict.fromkeys((*class_names, *classes))},
        sizes=_count_sizes(np.concatenate(sides)),
        sizes_at_320=_count_sizes(np.concatenate(sides_at_320)),
        findings={kind: findings[kind] for kind in dict.fromkeys(
            (*dataset.findings.counts(), *FINDINGS)) if findings[kind]},
        refused=dataset.findings.too_many(),
        side_lengths=np.concatenate(sides).tolist(), prints=prints)


def check_leaks(first: SplitReport, second: SplitReport) -> None:
    """Add the images that are also in the first split to the findings of the second one."""
    for kind, pairs in (('leak', second.prints.same(first.prints)),
                        ('near_leak', second.prints.alike(first.prints))):
        if pairs:
            second.findings.setdefault(kind, []).extend(
                _name_pairs(second.prints, first.prints, pairs))


def is_cut_off(data: bytes) -> bool:
    """
    Return whether a JPEG file is truncated; OpenCV 4 fills the missing part with grey.

    :param data: Content of the file.
    """
    start_of_image, start_of_scan, end_of_image = b'\xff\xd8', b'\xff\xda', b'\xff\xd9'
    return (data.startswith(start_of_image)
            and data.rfind(end_of_image) < data.rfind(start_of_scan))


def is_turned(data: bytes, upright: ImageSize, labelled: ImageSize) -> bool:
    """
    Return whether an image has the size of its annotations without its EXIF rotation.

    :param data: Content of the file.
    :param upright: Size after the EXIF rotation.
    :param labelled: Size according to the annotations.
    """
    return upright == ImageSize(labelled.width, labelled.height) and claimed_size(data) == labelled


def _name_pairs(prints: ImagePrints, others: ImagePrints, pairs: Pairs) -> list[str]:
    return [f'{prints.paths[index]}: same as {others.paths[other]}' for index, other in pairs]


def _check_image(labels: ImageLabels, findings: dict[str, list[str]], prints: ImagePrints,
                 skipped: Findings) -> ImageSize | None:
    """Return the size of the image; None: the image cannot be read."""
    path = labels.image_path
    try:
        data = path.read_bytes()
        image_bgr = decode_image(np.frombuffer(data, np.uint8), str(path), FILE_PIXELS)
    except OSError as error:
        skipped.skip('unreadable', path, error.strerror or str(error))
        return None
    except ImageError as error:
        skipped.skip('unreadable', path, str(error).removeprefix(f'{path}: '))
        return None
    prints.add(path, data, image_bgr)
    if is_cut_off(data):
        findings['cut_off'].append(f'{path}: {len(data)} bytes')
    size = size_of(image_bgr)
    if labels.size is not None and size != labels.size:
        if is_turned(data, size, labels.size):
            skipped.note('turned', path)
        else:
            skipped.skip('other_size', path, describe_size_error(size, labels.size))
        return labels.size  # the boxes were drawn in an image of this size
    return size


def _check_boxes(labels: ImageLabels, boxes_xyxy: FloatArray, size: ImageSize, dataset: Dataset,
                 findings: dict[str, list[str]]) -> None:
    clipped = clip_boxes(boxes_xyxy, size)
    sides = boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]
    visible = clipped[:, 2:] - clipped[:, :2]
    is_outside = (visible <= 0).any(axis=1)

    def describe(index: int) -> str:
        corners = ' '.join(f'{value:.1f}' for value in boxes_xyxy[index])
        return f'{dataset.class_names[labels.class_ids[index]]} at {corners} in {size}'
    for index in np.flatnonzero(is_outside).tolist():
        dataset.findings.skip('outside_image', labels.image_path, describe(index))
    kinds = {
        'outside': ~is_outside & (np.abs(boxes_xyxy - clipped) > BORDER).any(axis=1),
        'tiny': ~is_outside & (sides < TINY).any(axis=1),
    }
    for kind, mask in kinds.items():
        for index in np.flatnonzero(mask).tolist():
            findings[kind].append(f'{labels.image_path}: {describe(index)}')


def _count_classes(dataset: Dataset) -> Counter[str]:
    counts = np.zeros(len(dataset.class_names), np.int64)
    for labels in dataset.labels:
        counts += np.bincount(labels.class_ids[~labels.ignore], minlength=len(counts))
    return Counter(dict(zip(dataset.class_names, counts.tolist(), strict=True)))


def _check_classes(dataset: Dataset, classes: Counter[str], class_names: Sequence[str],
                   findings: dict[str, list[str]]) -> None:
    for name in dataset.class_names:
        if name not in class_names:
            findings['unknown_class'].append(f'{dataset.source}: {name!r} with {classes[name]} '
                                             'boxes')
    for name in class_names:
        if classes[name] < RARE:
            findings['rare_class'].append(f'{dataset.source}: {name!r} has {classes[name]}')


def _areas(boxes_xyxy: FloatArray) -> FloatArray:
    return np.prod(np.maximum(boxes_xyxy[:, 2:] - boxes_xyxy[:, :2], 0), axis=1)


def _count_sizes(side_lengths: FloatArray) -> dict[str, int]:
    small, medium, large = np.histogram(side_lengths, (0, SMALL, LARGE, np.inf))[0].tolist()
    return {'small': small, 'medium': medium, 'large': large}
