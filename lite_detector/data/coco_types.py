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
    """Path relative to the folder of images."""
    width: int | None = None
    """Width in pixels; None: unknown."""
    height: int | None = None

    @property
    def size(self) -> ImageSize | None:
        """Size in pixels of the image that was annotated; None: unknown."""
        return None if self.width is None or self.height is None else ImageSize(
            self.height, self.width)


class CocoAnnotation(msgspec.Struct, frozen=True, gc=False):
    """A labelled box."""

    image_id: int
    category_id: int
    bbox: tuple[float, float, float, float]
    """Left, top, width, height in pixels."""
    area: float | None = None
    """Area of the object in pixels; None: the area of its box."""
    iscrowd: int = 0
    """1 for a group of objects without individual labels; detections there are ignored."""
    score: float | None = None
    """Confidence of the model that labelled the box, 0 to 1; None: a person labelled it."""


class CocoCategory(msgspec.Struct, frozen=True):
    """A class; ids are arbitrary numbers and may have gaps."""

    category_id: int = msgspec.field(name='id')
    name: str


class CocoDataset(msgspec.Struct, frozen=True):
    """Images, boxes and classes; each box refers to one of the images and classes."""

    images: tuple[CocoImage, ...]
    annotations: tuple[CocoAnnotation, ...]
    categories: tuple[CocoCategory, ...]

    def ignoring_below(self, min_score: float) -> CocoDataset:
        """
        Return the dataset with boxes below a score marked as ignored, like crowds.

        :param min_score: Minimum score of an object, 0 to 1; boxes without a score are kept.
        """
        return msgspec.structs.replace(self, annotations=tuple(
            msgspec.structs.replace(box, iscrowd=1)
            if box.score is not None and box.score < min_score else box
            for box in self.annotations))
