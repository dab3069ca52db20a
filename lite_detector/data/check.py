# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""What is wrong, or merely odd, with labelled images; nothing here stops at the first find."""

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
"""Network input of the second histogram of sizes."""
SMALL, LARGE = 32.0, 96.0
"""Square root of the area from which on COCO calls an object medium, and large."""
TINY = 2.0
"""Pixels; a side below it is more often a slip of the mouse than an object."""
BORDER = 1.0
"""Pixels that a box may lie over the border: corners are rounded in many ways."""
RARE = 10
"""Boxes that a class ought to have at least."""

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
"""Kind of a finding -> what it is; in the order in which they are told."""

Progress = Callable[[Sequence[ImageLabels]], Iterable[ImageLabels]]
"""Hands on what it gets, and may show how far it is."""


class SplitReport(msgspec.Struct):
    """What was found in one dataset."""

    annotations: str
    images: int
    boxes: int
    """Without crowds and difficult objects."""
    ignored: int
    """Crowds and difficult objects."""
    soft: int
    """Boxes with a score below 1, which a model gave."""
    images_without_boxes: int
    classes: dict[str, int]
    """Class name -> boxes."""
    sizes: dict[str, int]
    """Boxes by their area in the image as COCO divides it: small, medium, large."""
    sizes_at_320: dict[str, int]
    """The same after the longer side of the image has become 320 pixels."""
    findings: dict[str, list[str]]
    """Kind, a key of FINDINGS or of what reading skips and notes -> one line each, beginning with
    the file and, where there is one, the line."""
    refused: str | None
    """Why training refuses the dataset; None: it does not."""
    side_lengths: list[float]
    """Square root of the area of every box, in pixels of its image."""
    prints: ImagePrints
    """The images that can be read."""

    def figures(self) -> dict[str, Any]:
        """Return what fits into a JSON file."""
        return {name: getattr(self, name) for name in self.__struct_fields__
                if name not in ('side_lengths', 'prints')}


def check_dataset(dataset: Dataset, class_names: Sequence[str],
                  progress: Progress = iter) -> SplitReport:
    """
    Look at every image and every box.

    :param dataset: with the class names of its annotations; images may be missing. Those that
        cannot be used are added to its findings.
    :param class_names: the classes that there ought to be.
    :param progress: wraps the images, to show how far it is.
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
    """Add to the findings of the second split the images that the first one has too."""
    for kind, pairs in (('leak', second.prints.same(first.prints)),
                        ('near_leak', second.prints.alike(first.prints))):
        if pairs:
            second.findings.setdefault(kind, []).extend(
                _name_pairs(second.prints, first.prints, pairs))


def is_cut_off(data: bytes) -> bool:
    """
    Return whether a JPEG lacks its end, which OpenCV 4 fills with grey.

    :param data: content of the file.
    """
    start_of_image, start_of_scan, end_of_image = b'\xff\xd8', b'\xff\xda', b'\xff\xd9'
    return (data.startswith(start_of_image)
            and data.rfind(end_of_image) < data.rfind(start_of_scan))


def is_turned(data: bytes, upright: ImageSize, wanted: ImageSize) -> bool:
    """
    Return whether an image has the size of its annotations without its EXIF rotation.

    :param data: content of the file.
    :param upright: size with the rotation.
    :param wanted: size according to the annotations.
    """
    return upright == ImageSize(wanted.width, wanted.height) and claimed_size(data) == wanted


def _name_pairs(prints: ImagePrints, others: ImagePrints, pairs: Pairs) -> list[str]:
    return [f'{prints.paths[index]}: as {others.paths[other]}' for index, other in pairs]


def _check_image(labels: ImageLabels, findings: dict[str, list[str]], prints: ImagePrints,
                 skipped: Findings) -> ImageSize | None:
    """Return the size of the image; None if it cannot be read."""
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
        return labels.size  # judge the boxes by what their author saw
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
