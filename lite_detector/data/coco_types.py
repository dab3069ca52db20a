# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Images, boxes and categories of a COCO file."""

from __future__ import annotations

from lite_detector.core.types import ImageSize
import msgspec


class CocoImage(msgspec.Struct, frozen=True, gc=False):
    """A labelled image."""

    image_id: int = msgspec.field(name='id')
    file_name: str
    """Relative to the folder of images."""
    width: int | None = None
    """Pixels; None: the annotations do not say."""
    height: int | None = None

    @property
    def size(self) -> ImageSize | None:
        """Pixels of the image that the boxes belong to; None: the annotations do not say."""
        return None if self.width is None or self.height is None else ImageSize(
            self.height, self.width)


class CocoAnnotation(msgspec.Struct, frozen=True, gc=False):
    """A labelled box."""

    image_id: int
    category_id: int
    bbox: tuple[float, float, float, float]
    """Left, top, width, height in pixels."""
    area: float | None = None
    """Pixels of the object itself; None: those of its box."""
    iscrowd: int = 0
    """Not 0: a group, not labelled one by one; boxes in it are neither right nor wrong."""
    score: float | None = None
    """Confidence of the model that gave the label, 0 to 1; None: a person gave it."""


class CocoCategory(msgspec.Struct, frozen=True):
    """A class; ids are any numbers, also with gaps."""

    category_id: int = msgspec.field(name='id')
    name: str


class CocoDataset(msgspec.Struct, frozen=True):
    """Images, boxes and classes; every box is of one of the images and classes."""

    images: tuple[CocoImage, ...]
    annotations: tuple[CocoAnnotation, ...]
    categories: tuple[CocoCategory, ...]

    def ignoring_below(self, min_score: float) -> CocoDataset:
        """
        Return the same dataset in which boxes of a lower score are ignored, like crowds.

        :param min_score: lowest score of an object, in [0, 1]; boxes without a score stay.
        """
        return msgspec.structs.replace(self, annotations=tuple(
            msgspec.structs.replace(box, iscrowd=1)
            if box.score is not None and box.score < min_score else box
            for box in self.annotations))
