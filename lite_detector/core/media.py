# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Read and write images, folders and videos."""

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
"""Maximum number of pixels of a compressed image message: 200 MB after decoding."""
FILE_PIXELS = 2 ** 30
"""Maximum number of pixels of an image file, the limit of OpenCV."""

REDUCTIONS = {1: cv2.IMREAD_COLOR, 2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4,
              8: cv2.IMREAD_REDUCED_COLOR_8}
"""Reduction factor -> flag of OpenCV."""


def is_video(path: Path) -> bool:
    """Return whether the suffix of a file is that of a video."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def find_media(sources: Sequence[Path]) -> list[Path]:
    """
    Return the image and video files in a list of files and folders.

    :param sources: Files and folders; files keep their order, files of a folder are sorted by
        name, subfolders are ignored.
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
            raise DataError(f'{source}: neither image nor video; expected one of '
                            f'{" ".join(sorted(IMAGE_SUFFIXES | VIDEO_SUFFIXES))}')
        else:
            files.append(source)
    return files


def _is_media(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES | VIDEO_SUFFIXES and path.is_file()


def read_image(path: Path, upright: bool = True) -> ImageArray:
    """
    Read an image file.

    :param path: Path of the file.
    :param upright: True: apply the EXIF rotation. False: return the image as stored.
    :return: BGR image, uint8, shape (height, width, 3).
    :raises ImageError: if the file is absent or cannot be decoded.
    """
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise ImageError(f'{path}: {error.strerror}') from None
    return decode_image(data, str(path), FILE_PIXELS, upright=upright)


def decode_image(data: ImageArray, where: str, max_pixels: int = MAX_PIXELS,
                 factor: int = 1, upright: bool = True) -> ImageArray:
    """
    Decode a JPEG, PNG, BMP, TIFF, WebP or, if OpenCV supports it, the first frame of a GIF.

    :param data: Content of the file, uint8, shape (n,).
    :param where: File name or source, for messages.
    :param max_pixels: Maximum number of pixels according to the header.
    :param factor: Reduction factor, a key of ``REDUCTIONS``.
    :param upright: True: apply the EXIF rotation.
    :return: BGR image, uint8, shape (height, width, 3).
    :raises ImageError: if the data cannot be decoded, or the image exceeds the size limits.
    """
    # check before OpenCV allocates memory: one bit error in 700 bytes can request gigabytes
    height, width = claimed_size(data) or (0, 0)
    if max(height, width) > MAX_SIDE or height * width > max_pixels:
        raise ImageError(f'{where}: {len(data)} bytes with a header of {width}x{height} pixels; '
                         f'expected sides up to {MAX_SIDE} and at most {max_pixels} pixels')
    flags = REDUCTIONS[factor] | (0 if upright else cv2.IMREAD_IGNORE_ORIENTATION)
    try:
        image = cv2.imdecode(data, flags) if height and width else None
    except cv2.error:
        image = None
    if image is None:
        content = kind_of_content(data)
        raise ImageError(f'{where}: {len(data)} bytes that do not decode as an image; expected '
                         f'{FORMATS}' + (f'; the content is {content}' if content else ''))
    return image


def is_utf8(path: Path | str) -> bool:
    """Return whether a path is valid UTF-8; OpenCV aborts on other names of videos."""
    return os.fsencode(path) == str(path).encode(errors='replace')


class VideoReader:
    """
    The frames of a video file, in order.

    :param path: Path of the file.
    :raises ImageError: if the file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        if not is_utf8(path):
            raise ImageError(f'{str(path)!r}: not UTF-8; rename the video')
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
    Write an image as JPEG.

    :raises DataError: if the file cannot be written.
    """
    # not imwrite, which reports no reason and crashes on names that are not UTF-8
    _, data = cv2.imencode('.jpg', image_bgr)
    try:
        path.write_bytes(data)
    except OSError as error:
        raise DataError(f'{path}: cannot be written: {error.strerror}') from None


class VideoWriter:
    """
    An MP4 writer that opens its file with the first frame; without a path it does nothing.

    :param path: Path of the file; None: write nothing.
    :param rate_hz: Frame rate in Hz.
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
        # OpenCV does not report a full disk
        if kind is None and not cv2.VideoCapture(str(self._path)).isOpened():
            self._path.unlink(missing_ok=True)
            raise DataError(f'{self._path}: cannot be written; check the free disk space')

    def write(self, image_bgr: ImageArray) -> None:
        """
        Add a frame.

        :raises DataError: if the file cannot be written.
        """
        if self._path is None:
            return
        if self._writer is None:
            if not is_utf8(self._path):
                raise DataError(f'{str(self._path)!r}: not UTF-8; rename the video')
            size = (image_bgr.shape[1], image_bgr.shape[0])
            self._writer = cv2.VideoWriter(str(self._path), int.from_bytes(b'mp4v', 'little'),
                                           self._rate_hz, size)
            if not self._writer.isOpened():
                raise DataError(f'{self._path}: cannot be written as a video')
        self._writer.write(image_bgr)
