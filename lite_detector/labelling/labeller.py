# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Merge the labels of people and of a model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
import os
from pathlib import Path
import zlib

from lite_detector.core.errors import DataError
from lite_detector.core.media import find_media, is_utf8, is_video, read_image
from lite_detector.core.types import Detections, ImageSize, size_of
from lite_detector.data.dataset import Dataset, ImageLabels, read_sized_image
from lite_detector.detector import Detector
from lite_detector.labelling.label_file import Label, LabelledImage
from lite_detector.labelling.views import detect_both_ways
import msgspec
import numpy as np

MIN_SIDE = 1.0
"""Minimum side of a box in pixels; narrower boxes are discarded."""

Wanted = Mapping[str, ImageLabels | None]
"""File name, relative to the folder of images -> labels of people; None: not labelled."""


def images_of_folder(folder: Path) -> dict[str, None]:
    """
    Return the images of a folder, by name, without labels.

    :raises DataError: if the folder has no images, or a name is not UTF-8.
    """
    if not folder.is_dir():
        raise DataError(f'{folder}: no such folder')
    names = [path.name for path in find_media([folder]) if not is_video(path)]
    if not names:
        raise DataError(f'{folder}: no image in this folder')
    for name in names:
        if not is_utf8(name):
            raise DataError(f'{folder}: {name!r}: not UTF-8; rename the file')
    return dict.fromkeys(names)


def images_of_dataset(dataset: Dataset, folder: Path) -> dict[str, ImageLabels]:
    """
    Return the images of a dataset with their labels.

    :param dataset: Labelled images.
    :param folder: Directory that the file names are relative to.
    :raises DataError: if an image is a duplicate.
    """
    found: dict[str, ImageLabels] = {}
    for labels in dataset.labels:
        name = Path(os.path.relpath(labels.image_path, folder)).as_posix()
        if name in found:
            raise DataError(f'{dataset.source}: duplicate image {name}')
        found[name] = labels
    return found


class Labeller:
    """
    A model that labels the classes of images which people have not labelled.

    :param detector: Detector; its selection is changed so that it detects only the other classes.
    :param labelled: Names of the classes that people labelled, in the order of their ids.
    :param flip: True: average the results of the image and of its mirror image.
    :raises DataError: if people labelled all classes of the model.
    """

    def __init__(self, detector: Detector, labelled: Sequence[str] = (),
                 flip: bool = False) -> None:
        wanted = detector.selection.classes or detector.card.class_names
        self.classes = tuple(name for name in wanted if name not in labelled)
        if not self.classes:
            raise DataError(f'{detector.card.name}: all classes are labelled already '
                            f'({", ".join(wanted[:3])}...); expected a model with other classes')
        self.labelled = tuple(labelled)
        self.detector = detector
        self._flip = flip
        self._score_threshold = threshold = detector.selection.score_threshold
        # an average of two views may exceed the threshold if each view reaches half of it
        detector.selection = msgspec.structs.replace(
            detector.selection, classes=self.classes,
            score_threshold=threshold / 2 if flip else threshold)

    def label(self, path: Path, labels: ImageLabels | None) -> LabelledImage:
        """
        Detect objects in an image and merge them with its labels.

        :param path: Path of the image.
        :param labels: Labels of people; None: not labelled.
        :raises LiteDetectorError: if the image cannot be read or has another size than its labels.
        """
        image_bgr = read_image(path) if labels is None else read_sized_image(path, labels.size)
        size = size_of(image_bgr)
        if self._flip:
            found = detect_both_ways(self.detector, image_bgr)
            found = found.select(found.scores >= self._score_threshold)
        else:
            found = self.detector.detect(image_bgr)
        return LabelledImage(size, (*labels_of_people(labels, self.labelled, size),
                                    *self._of_model(found)), _crc32(path))

    def renew(self, image: LabelledImage, labels: ImageLabels | None) -> LabelledImage:
        """Return the earlier labels of the model merged with the present labels of people."""
        of_model = (label for label in image.labels if label.class_name not in self.labelled)
        return LabelledImage(image.size, (*labels_of_people(labels, self.labelled, image.size),
                                          *of_model), image.crc32)

    def _of_model(self, found: Detections) -> Iterable[Label]:
        names = self.detector.card.class_names
        sides = found.boxes_xyxy[:, 2:] - found.boxes_xyxy[:, :2]
        found = found.select(np.flatnonzero((sides >= MIN_SIDE).all(axis=1)))
        for box, class_id, score in zip(found.boxes_xyxy.tolist(), found.class_ids,
                                        found.scores.tolist(), strict=True):
            yield Label(names[class_id], _bbox(box), score)


def labels_of_people(labels: ImageLabels | None, class_names: Sequence[str],
                     size: ImageSize) -> Iterator[Label]:
    """
    Yield the labels of people in an image.

    :param labels: Labels of the image; None: not labelled.
    :param class_names: Names of the class ids.
    :param size: Size of the image in pixels.
    """
    if labels is None:
        return
    for box, class_id, ignore, score in zip(
            labels.boxes_in(size).tolist(), labels.class_ids, labels.ignore,
            labels.scores.tolist(), strict=True):
        yield Label(class_names[class_id], _bbox(box), score if score < 1 else None, bool(ignore))


def known_images(labeller: Labeller, images: Wanted, folder: Path,
                 earlier: Mapping[str, LabelledImage]) -> dict[str, LabelledImage]:
    """
    Return the images that an earlier run processed, with its labels.

    :param labeller: Labeller of the present run.
    :param images: Images to label, with the labels of people.
    :param folder: Folder of the images.
    :param earlier: Labels of the earlier run.
    :raises DataError: if the earlier run processed only other images, or another image of the
        same name; its labels would be lost.
    """
    known = {name: labeller.renew(earlier[name], labels) for name, labels in images.items()
             if name in earlier}
    if earlier and not known:
        raise DataError(f'the output has labels of other images, such as {next(iter(earlier))}; '
                        'choose another --output')
    for name, image in known.items():
        path = folder / name
        if image.crc32 is not None and path.is_file() and image.crc32 != _crc32(path):
            raise DataError(f'{path}: the output has labels of another image of this name; '
                            'choose another --output')
    return known


def _crc32(path: Path) -> int:
    return zlib.crc32(path.read_bytes())


def _bbox(box_xyxy: Sequence[float]) -> tuple[float, float, float, float]:
    left, top, right, bottom = box_xyxy
    return left, top, max(0.0, right - left), max(0.0, bottom - top)
