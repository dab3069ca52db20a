# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""JPEG images that are decoded at a part of their size, and boxes back in full pixels."""

import cv2
from lite_detector.core.encodings import compressed_to_reduced
from lite_detector.core.errors import ImageError
from lite_detector.core.reduction import decode_reduced, jpeg_size, Reduced, reduction_to
from lite_detector.core.tiling import View
from lite_detector.core.types import Detections, ImageSize
from lite_detector.detector import Detector
import numpy as np
import pytest
from tiny_models import square_image

NO_IMAGE = np.zeros((1, 1, 3), np.uint8)


class Message:
    """The fields of a CompressedImage."""

    format = 'jpeg'  # noqa: A003

    def __init__(self, data: bytes) -> None:
        self.data = data


def encoded(image_bgr: np.ndarray, suffix: str = '.jpg') -> np.ndarray:
    return cv2.imencode(suffix, image_bgr)[1].ravel()


def turned_by_exif(jpeg: np.ndarray) -> np.ndarray:
    """Return the JPEG with EXIF data that say: turn by 90 degrees to the right."""
    tiff = b'II*\0\x08\0\0\0' + b'\x01\0' + b'\x12\x01\x03\0\x01\0\0\0\x06\0\0\0' + bytes(4)
    segment = b'Exif\0\0' + tiff
    head = b'\xff\xe1' + (len(segment) + 2).to_bytes(2, 'big') + segment
    data = jpeg.tobytes()
    return np.frombuffer(data[:2] + head + data[2:], np.uint8)


@pytest.mark.parametrize(('full', 'least', 'factor'), [
    ((1080, 1920), (180, 320), 4),   # 240 columns are not enough
    ((720, 1280), (180, 320), 4),    # exactly as large
    ((719, 1280), (180, 320), 2),
    ((480, 640), (240, 320), 2),
    ((480, 640), (480, 640), 1),
    ((480, 640), (960, 1280), 1),    # a network that is fed enlarged images
    ((4000, 4000), (10, 10), 8),
    ((1080, 1920), (320, 320), 2),   # stretched: the side that loses most counts
])
def test_reduction_keeps_what_the_network_sees(full, least, factor):
    assert reduction_to(ImageSize(*full), ImageSize(*least)) == factor


@pytest.mark.parametrize('factor', [1, 2, 4, 8])
@pytest.mark.parametrize('size', [(96, 64), (101, 67), (65, 127)])
def test_reduced_image_says_how_large_it_was(size, factor):
    data = encoded(np.full((*size, 3), 77, np.uint8))
    assert jpeg_size(data) == size
    reduced = decode_reduced(data, 'a.jpg', ImageSize(*size), factor)
    assert reduced.image_bgr.shape == (-(-size[0] // factor), -(-size[1] // factor), 3)
    assert (reduced.factor, reduced.full_size) == (factor, size)


def test_reduced_image_that_exif_turns_is_turned():
    data = turned_by_exif(encoded(np.full((96, 64, 3), 77, np.uint8)))
    if cv2.imdecode(data, cv2.IMREAD_COLOR).shape[:2] != (64, 96):
        pytest.skip('this OpenCV does not turn images')
    reduced = decode_reduced(data, 'a.jpg', jpeg_size(data), 2)
    assert reduced.image_bgr.shape == (32, 48, 3)
    assert reduced.full_size == (64, 96)


def test_boxes_go_back_to_full_pixels_and_are_cut_at_the_full_border():
    # 101 columns are 26 at a quarter: the last one holds 1 of 4
    found = Detections(np.array([(0, 1, 10, 12), (20, 0, 26, 10), (25.5, 0, 26, 9)], np.float32),
                       np.array([0.9, 0.8, 0.7], np.float32), np.zeros(3, np.int64))
    full = Reduced(NO_IMAGE, 4, ImageSize(48, 101)).to_full(found)
    np.testing.assert_array_equal(full.boxes_xyxy, [(0, 4, 40, 48), (80, 0, 101, 40)])
    whole = Reduced(NO_IMAGE, 1, ImageSize(48, 101)).to_full(found)
    assert whole is found
    assert len(Reduced(NO_IMAGE, 4, ImageSize(48, 101)).to_full(Detections.empty())) == 0


@pytest.mark.parametrize('size', [(256, 384), (255, 381)])
def test_detector_finds_the_same_box_in_a_reduced_image(tiny_nanodet, size):
    # at a quarter a cell of 32 network pixels is as large as 128 of the camera's
    detector = Detector.from_folder(tiny_nanodet)
    image = square_image(256, 384, 128, 128, (255, 0, 0), side=128)[:size[0], :size[1]]
    reduced = compressed_to_reduced(Message(encoded(image).tobytes()), detector.least_size)
    assert reduced.factor == (4 if size == (256, 384) else 2)
    found = reduced.to_full(detector.detect(reduced.image_bgr))
    best = found.boxes_xyxy[0]
    np.testing.assert_allclose(best, (128, 128, 256, size[0] if size[0] < 256 else 256), atol=2)


@pytest.mark.parametrize('view', [View(columns=2), View(region=(0, 0, 0.5, 1)),
                                  View(region=(0, 0, 200, 200))])
def test_view_that_cuts_the_image_needs_all_of_it(tiny_nanodet, view):
    detector = Detector.from_folder(tiny_nanodet, view=view)
    image = square_image(256, 384, 128, 128, (255, 0, 0), side=128)
    assert compressed_to_reduced(Message(encoded(image).tobytes()),
                                 detector.least_size).factor == 1


@pytest.mark.parametrize('suffix', ['.png', '.bmp', '.webp'])
def test_other_formats_are_decoded_whole(suffix):
    data = encoded(np.zeros((64, 96, 3), np.uint8), suffix)
    reduced = compressed_to_reduced(Message(data.tobytes()), lambda size: ImageSize(8, 8))
    assert (reduced.factor, reduced.full_size) == (1, (64, 96))


@pytest.mark.parametrize('data', [
    b'', b'\xff\xd8', encoded(np.zeros((64, 96, 3), np.uint8)).tobytes()[:150],
    b'\xff\xd8\xff\xc0\x00\x11\x08\x00\x00\x00\x00' + bytes(20)])
def test_jpeg_that_is_damaged_is_an_image_error(data):
    with pytest.raises(ImageError, match="format 'jpeg'"):
        compressed_to_reduced(Message(data), lambda size: ImageSize(8, 8))


def test_jpeg_that_claims_too_much_is_refused_before_it_is_decoded():
    data = bytearray(encoded(np.zeros((64, 96, 3), np.uint8)).tobytes())
    place = data.index(b'\xff\xc0')
    data[place + 5:place + 9] = b'\xff\x00\xff\x00'
    with pytest.raises(ImageError, match='header of 65280x65280'):
        compressed_to_reduced(Message(bytes(data)), lambda size: ImageSize(8, 8))
