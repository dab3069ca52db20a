# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

import cv2
from lite_detector.core.geometry import Letterbox
from lite_detector.core.model_card import PreprocessSpec, RESIZES
from lite_detector.core.preprocess import blank_blob, BlobBuffers, BlobCache, make_blob
from lite_detector.core.types import ImageSize, size_of
import numpy as np
import pytest

INPUT_SIZE = ImageSize(height=64, width=96)
SOURCES = [(48, 64), (64, 48), (64, 96), (97, 203), (8, 1000), (1000, 8), (8, 8)]


def preprocess(resize: str = 'letterbox_rect', color: str = 'bgr', pad: str = 'center',
               pad_value: int = 114) -> PreprocessSpec:
    return PreprocessSpec(resize=resize, pad=pad, pad_value=pad_value, color=color,
                          mean=(103.53, 116.28, 123.675), std=(57.375, 57.12, 58.395))


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def fit(image: np.ndarray, spec: PreprocessSpec) -> Letterbox:
    return Letterbox.fit(size_of(image), INPUT_SIZE, spec, 32)


def naive_blob(image: np.ndarray, letterbox: Letterbox, spec: PreprocessSpec) -> np.ndarray:
    """Do what the documentation of the networks says, one plain step after the other."""
    resized = cv2.resize(image, letterbox.resized_size[::-1], interpolation=cv2.INTER_LINEAR)
    below = letterbox.input_size.height - letterbox.top - letterbox.resized_size.height
    right = letterbox.input_size.width - letterbox.left - letterbox.resized_size.width
    padded = cv2.copyMakeBorder(resized, letterbox.top, below, letterbox.left, right,
                                cv2.BORDER_CONSTANT, value=(spec.pad_value,) * 3)
    if spec.color == 'rgb':
        padded = cv2.cvtColor(padded, cv2.COLOR_BGR2RGB)
    return ((padded - np.array(spec.mean)) / np.array(spec.std)).transpose(2, 0, 1)


@pytest.mark.parametrize('resize', RESIZES)
@pytest.mark.parametrize('color', ['bgr', 'rgb'])
@pytest.mark.parametrize('source', SOURCES, ids=str)
def test_make_blob_equals_the_plain_steps(source, color, resize):
    image = noise(*source)
    spec = preprocess(resize, color)
    letterbox = fit(image, spec)
    blob = make_blob(image, letterbox, spec)
    np.testing.assert_allclose(blob, naive_blob(image, letterbox, spec), atol=1e-5)
    assert blob.dtype == np.float32
    assert blob.shape == (3, *letterbox.input_size)
    assert blob.flags.c_contiguous


@pytest.mark.parametrize(('color', 'wanted'), [('bgr', [0, 0.5, 4]), ('rgb', [2, 0.5, 0])])
def test_make_blob_takes_mean_and_std_in_the_order_of_the_network(color, wanted):
    image = np.full((64, 96, 3), (10, 20, 30), np.uint8)  # blue, green, red
    spec = PreprocessSpec(resize='stretch', color=color, mean=(10, 15, 10), std=(10, 10, 5))
    blob = make_blob(image, fit(image, spec), spec)
    np.testing.assert_allclose(blob[:, 0, 0], wanted)


@pytest.mark.parametrize(('pad', 'border'), [('center', (0, 95)), ('bottom_right', (64, 95))])
@pytest.mark.parametrize('pad_value', [0, 114, 255])
def test_make_blob_border_is_the_normalised_pad_value(pad, border, pad_value):
    spec = preprocess('letterbox_square', pad=pad, pad_value=pad_value)
    image = np.full((64, 64, 3), 50, np.uint8)
    blob = make_blob(image, fit(image, spec), spec)
    outside = (pad_value - np.array(spec.mean)) / np.array(spec.std)
    inside = (50 - np.array(spec.mean)) / np.array(spec.std)
    for column in border:
        np.testing.assert_allclose(blob[:, 0, column], outside, atol=1e-5)
    np.testing.assert_allclose(blob[:, 63, 48], inside, atol=1e-5)
    assert (blob[0] == blob[0, 63, 48]).sum() == 64 * 64


@pytest.mark.parametrize('resize', RESIZES)
def test_make_blob_into_used_buffers_gives_the_same_as_into_new_ones(resize):
    spec = preprocess(resize)
    first, second = noise(48, 64, seed=1), noise(48, 64, seed=2)
    letterbox = fit(first, spec)
    buffers = BlobBuffers(letterbox, spec)
    blob = make_blob(first, letterbox, spec, buffers)
    again = make_blob(second, letterbox, spec, buffers)
    assert again is blob
    np.testing.assert_array_equal(again, make_blob(second, letterbox, spec))


@pytest.mark.parametrize('view', [
    lambda image: image[10:58, 20:84],
    lambda image: image[::2, ::2],
    lambda image: image[:, ::-1],
    lambda image: image[..., ::-1],
    lambda image: image.transpose(1, 0, 2),
    np.asfortranarray,
], ids=['roi', 'strided', 'mirrored', 'channels', 'transposed', 'fortran'])
def test_make_blob_of_a_view_equals_that_of_its_copy(view):
    image = view(noise(128, 192))
    spec = preprocess()
    letterbox = fit(image, spec)
    assert not image.flags.c_contiguous
    np.testing.assert_array_equal(make_blob(image, letterbox, spec),
                                  make_blob(image.copy(order='C'), letterbox, spec))


def test_make_blob_leaves_a_read_only_image_as_it_is():
    image = noise(64, 96)
    before = image.copy()
    image.flags.writeable = False
    make_blob(image, fit(image, preprocess('stretch')), preprocess('stretch'))
    np.testing.assert_array_equal(image, before)


def test_blob_cache_with_alternating_cameras_gives_each_its_own_blob():
    spec = preprocess()
    cache = BlobCache(spec)
    blobs = {}
    for seed in range(3):
        for source in SOURCES:
            image = noise(*source, seed=seed)
            letterbox = fit(image, spec)
            blob = cache.make(image, letterbox)
            np.testing.assert_array_equal(blob, make_blob(image, letterbox, spec))
            assert blobs.setdefault(source, blob) is blob


def test_blob_cache_with_ever_new_sizes_stays_small_and_right():
    spec = preprocess()
    cache = BlobCache(spec)
    first = noise(40, 40)
    for width in range(40, 40 + 3 * BlobCache.MAX_ENTRIES):
        image = noise(40, width)
        cache.make(image, fit(image, spec))
        assert len(cache._buffers) <= BlobCache.MAX_ENTRIES
    np.testing.assert_array_equal(cache.make(first, fit(first, spec)),
                                  make_blob(first, fit(first, spec), spec))


def test_blank_blob_is_an_input_of_zeros():
    blob = blank_blob(INPUT_SIZE)
    assert (blob.shape, blob.dtype) == ((3, 64, 96), np.float32)
    assert not blob.any()
