# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Images and what people said of them already -> what people and a model say together."""

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
"""Pixels; what is thinner after the border of the image has cut it is no box to learn from."""

Wanted = Mapping[str, ImageLabels | None]
"""File name, relative to the folder of images -> what people say of it."""


def images_of_folder(folder: Path) -> dict[str, None]:
    """
    Return the images of a folder, by name, which nobody labelled.

    :raises DataError: if there is none.
    """
    if not folder.is_dir():
        raise DataError(f'{folder}: no such folder')
    names = [path.name for path in find_media([folder]) if not is_video(path)]
    if not names:
        raise DataError(f'{folder}: no image in this folder')
    for name in names:
        if not is_utf8(name):
            raise DataError(f'{folder}: {name!r}: no UTF-8, wanted another name')
    return dict.fromkeys(names)


def images_of_dataset(dataset: Dataset, folder: Path) -> dict[str, ImageLabels]:
    """
    Return the images of a dataset with their labels.

    :param folder: what their names become relative to.
    :raises DataError: if an image is named twice.
    """
    found: dict[str, ImageLabels] = {}
    for labels in dataset.labels:
        name = Path(os.path.relpath(labels.image_path, folder)).as_posix()
        if name in found:
            raise DataError(f'{dataset.source}: image {name} is there twice')
        found[name] = labels
    return found


class Labeller:
    """
    A model that labels images, but for the classes that people have labelled.

    :param detector: its selection decides what it says; changed so that no class of people is
        among what it looks for.
    :param labelled: names of the classes of people, in the order of their ids.
    :param flip: look at the mirror image too.
    :raises DataError: if the model has nothing to add.
    """

    def __init__(self, detector: Detector, labelled: Sequence[str] = (),
                 flip: bool = False) -> None:
        wanted = detector.selection.classes or detector.card.class_names
        self.classes = tuple(name for name in wanted if name not in labelled)
        if not self.classes:
            raise DataError(f'{detector.card.name} has nothing to add: all of its classes are '
                            f'labelled already ({", ".join(wanted[:3])}...)')
        self.labelled = tuple(labelled)
        self.detector = detector
        self._flip = flip
        self._score_threshold = threshold = detector.selection.score_threshold
        # what one look believes half, two together may believe enough
        detector.selection = msgspec.structs.replace(
            detector.selection, classes=self.classes,
            score_threshold=threshold / 2 if flip else threshold)

    def label(self, path: Path, labels: ImageLabels | None) -> LabelledImage:
        """
        Look at an image.

        :param labels: of people.
        :raises LiteDetectorError: if it cannot be read or has another size than its labels.
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
        """Return what the model said of an image with what people say of it now."""
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
    Return the boxes that an image had before.

    :param labels: None: it had none.
    :param class_names: what their class ids mean.
    :param size: of the image.
    """
    if labels is None:
        return
    for box, class_id, ignore, score in zip(
            labels.boxes_in(size).tolist(), labels.class_ids, labels.ignore,
            labels.scores.tolist(), strict=True):
        yield Label(class_names[class_id], _bbox(box), score if score < 1 else None, bool(ignore))


def known_images(labeller: Labeller, wanted: Wanted, folder: Path,
                 earlier: Mapping[str, LabelledImage]) -> dict[str, LabelledImage]:
    """
    Return those of the wanted images that an earlier run looked at.

    :param folder: of the images.
    :raises DataError: if it looked at others only, or at other ones of these names, whose labels
        would be lost.
    """
    known = {name: labeller.renew(earlier[name], labels) for name, labels in wanted.items()
             if name in earlier}
    if earlier and not known:
        raise DataError(f'the output has labels of other images, such as {next(iter(earlier))}; '
                        'use another --output')
    for name, image in known.items():
        path = folder / name
        if image.crc32 is not None and path.is_file() and image.crc32 != _crc32(path):
            raise DataError(f'{path}: the output has labels of another image of this name; '
                            'use another --output')
    return known


def _crc32(path: Path) -> int:
    return zlib.crc32(path.read_bytes())


def _bbox(box_xyxy: Sequence[float]) -> tuple[float, float, float, float]:
    left, top, right, bottom = box_xyxy
    return left, top, max(0.0, right - left), max(0.0, bottom - top)
