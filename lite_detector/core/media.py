# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Images, folders and videos on disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import os
from pathlib import Path

import cv2
from lite_detector.core.errors import DataError, ImageError
from lite_detector.core.image_header import claimed_size, FORMATS, kind_of_content
from lite_detector.core.types import ImageArray, MAX_SIDE
import numpy as np

IMAGE_SUFFIXES = {'.jpg', '.jpeg', '.jpe', '.jfif', '.png', '.bmp', '.webp', '.tif', '.tiff',
                  '.gif'}
VIDEO_SUFFIXES = {'.mp4', '.avi', '.mkv', '.mov', '.webm', '.m4v', '.mpg', '.mpeg'}

MAX_PIXELS = 2 ** 26
"""Of a compressed image: 200 MB once it is decoded; decoders take several times that meanwhile."""
FILE_PIXELS = 2 ** 30
"""Of a file, which its owner named: the most that OpenCV reads."""

REDUCTIONS = {1: cv2.IMREAD_COLOR, 2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4,
              8: cv2.IMREAD_REDUCED_COLOR_8}
"""Full pixels per decoded pixel -> flag of OpenCV."""


def is_video(path: Path) -> bool:
    """Return whether the name of a file says video."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def find_media(sources: Sequence[Path]) -> list[Path]:
    """
    Return the image and video files among files and folders.

    :param sources: files stay in their order; a folder gives its files by name, not recursively.
    :raises DataError: if a source is absent, of an unknown kind, or a folder without media.
    """
    files: list[Path] = []
    for source in sources:
        if source.is_dir():
            inside = sorted(path for path in source.iterdir() if _is_media(path))
            if not inside:
                raise DataError(f'{source}: no image or video in this folder')
            files += inside
        elif not source.is_file():
            raise DataError(f'{source}: no such file or folder')
        elif not _is_media(source):
            raise DataError(f'{source}: neither image nor video; wanted one of '
                            f'{" ".join(sorted(IMAGE_SUFFIXES | VIDEO_SUFFIXES))}')
        else:
            files.append(source)
    return files


def _is_media(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES | VIDEO_SUFFIXES and path.is_file()


def read_image(path: Path, upright: bool = True) -> ImageArray:
    """
    Read an image file.

    :param upright: rotate the image as its EXIF data say; else it stays as it is stored.
    :return: uint8 BGR, shape (height, width, 3).
    :raises ImageError: if it is absent or cannot be decoded.
    """
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise ImageError(f'{path}: {error.strerror}') from None
    return decode_image(data, str(path), FILE_PIXELS, upright=upright)


def decode_image(data: ImageArray, where: str, max_pixels: int = MAX_PIXELS,
                 factor: int = 1, upright: bool = True) -> ImageArray:
    """
    Decode a JPEG, PNG, BMP, TIFF, WebP or, where OpenCV can, the first frame of a GIF.

    :param data: the file's bytes, uint8, shape (n,).
    :param where: name for the message.
    :param max_pixels: that it may claim to have.
    :param factor: a key of ``REDUCTIONS``.
    :param upright: rotate the image as its EXIF data say.
    :return: uint8 BGR, shape (height, width, 3).
    :raises ImageError: if it cannot be decoded, or claims to be larger than is sane.
    """
    # before OpenCV believes it: a flipped bit in 700 bytes can ask for gigabytes
    height, width = claimed_size(data) or (0, 0)
    if max(height, width) > MAX_SIDE or height * width > max_pixels:
        raise ImageError(f'{where}: {len(data)} bytes that claim to be {width}x{height} pixels, '
                         f'wanted sides up to {MAX_SIDE} and at most {max_pixels} pixels')
    flags = REDUCTIONS[factor] | (0 if upright else cv2.IMREAD_IGNORE_ORIENTATION)
    try:
        image = cv2.imdecode(data, flags) if height and width else None
    except cv2.error:
        image = None
    if image is None:
        content = kind_of_content(data)
        raise ImageError(f'{where}: {len(data)} bytes that do not decode as an image, wanted '
                         f'{FORMATS}' + (f'; the content is {content}' if content else ''))
    return image


def is_utf8(path: Path | str) -> bool:
    """Tell whether C++ and JSON may have this name: any other one of a video ends the process."""
    return os.fsencode(path) == str(path).encode(errors='replace')


class VideoReader:
    """
    The frames of a video file, in order.

    :param path: the file.
    :raises ImageError: if it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        if not is_utf8(path):
            raise ImageError(f'{str(path)!r}: no UTF-8, wanted another name for a video')
        self._capture = cv2.VideoCapture(str(path))
        if not self._capture.isOpened():
            raise ImageError(f'{path}: cannot be opened as a video')
        self.rate_hz = self._capture.get(cv2.CAP_PROP_FPS) or 30.0
        self.frame_count = max(0, int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)))

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._capture.release()

    def __iter__(self) -> Iterator[ImageArray]:
        while True:
            ok, image = self._capture.read()
            if not ok:
                return
            yield image


def write_jpeg(path: Path, image_bgr: ImageArray) -> None:
    """
    Write a picture.

    :raises DataError: if it cannot be written.
    """
    # not imwrite, which gives no reason and crashes on names that are no UTF-8
    _, data = cv2.imencode('.jpg', image_bgr)
    try:
        path.write_bytes(data)
    except OSError as error:
        raise DataError(f'{path}: cannot be written: {error.strerror}') from None


class VideoWriter:
    """
    An MP4 that opens with its first frame; without a path it does nothing.

    :param path: where it goes.
    :param rate_hz: frames per second.
    """

    def __init__(self, path: Path | None, rate_hz: float) -> None:
        self._path = path
        self._rate_hz = rate_hz
        self._writer: cv2.VideoWriter | None = None

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._writer is None or self._path is None:
            return
        self._writer.release()
        # OpenCV does not tell of a full disk
        if kind is None and not cv2.VideoCapture(str(self._path)).isOpened():
            self._path.unlink(missing_ok=True)
            raise DataError(f'{self._path}: cannot be written; is the disk full?')

    def write(self, image_bgr: ImageArray) -> None:
        """
        Add a frame.

        :raises DataError: if the file cannot be written.
        """
        if self._path is None:
            return
        if self._writer is None:
            if not is_utf8(self._path):
                raise DataError(f'{str(self._path)!r}: no UTF-8, wanted another name for a video')
            size = (image_bgr.shape[1], image_bgr.shape[0])
            self._writer = cv2.VideoWriter(str(self._path), int.from_bytes(b'mp4v', 'little'),
                                           self._rate_hz, size)
            if not self._writer.isOpened():
                raise DataError(f'{self._path}: cannot be written as a video')
        self._writer.write(image_bgr)
