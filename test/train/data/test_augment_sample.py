# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Training samples: equal to the deployment pipeline without augmentation."""

from dataclasses import replace

from lite_detector.core.geometry import Letterbox
from lite_detector.core.model_card import PreprocessSpec
from lite_detector.core.preprocess import make_blob
from lite_detector.core.types import ImageSize
from lite_detector.train.config.augment import AugmentSpec
from lite_detector.train.data.augment.sample import make_training_sample, sample_buffers
import msgspec
import numpy as np
import pytest
from scenes import INPUT, noise, painted, PLAIN

STRIDE = 32
WILD = AugmentSpec(rotate=10, hue=20, mosaic=0.5, mixup=0.5, scale=(0.3, 3), translate=0.4)


def make(samples, augment=WILD, seed=0, preprocess=PLAIN):
    return make_training_sample(samples, 0, np.random.default_rng(seed), augment, preprocess,
                                INPUT, STRIDE)


@pytest.mark.parametrize('size', [ImageSize(427, 640), ImageSize(640, 427), ImageSize(100, 90),
                                  ImageSize(3, 500), INPUT], ids=str)
@pytest.mark.parametrize('resize', ['stretch', 'letterbox_square', 'letterbox_rect'])
@pytest.mark.parametrize('pad', ['center', 'bottom_right'])
def test_without_change_it_is_what_serving_makes(size, resize, pad):
    spec = PreprocessSpec(resize=resize, color='rgb', pad=pad, pad_value=77,
                          mean=(100.0, 110.0, 120.0), std=(57.0, 58.0, 59.0))
    sample = noise(size, 6)
    # a batch has one size, so letterbox_rect is padded to all of the input
    square = msgspec.structs.replace(spec, resize=resize.replace('rect', 'square'))
    box = Letterbox.fit(size, INPUT, square, 32)
    got = make([sample], AugmentSpec.none(), preprocess=spec)
    np.testing.assert_array_equal(got.blob, make_blob(sample.image_bgr, box, spec))
    wanted = box.to_input(sample.boxes_xyxy)
    # letterboxes have one scale and whole pixels: the last pixel is not where the scale says
    np.testing.assert_allclose(got.boxes_xyxy, wanted[~sample.ignore], atol=1)
    np.testing.assert_allclose(got.ignored_xyxy, wanted[sample.ignore], atol=1)
    np.testing.assert_array_equal(got.class_ids, sample.class_ids[~sample.ignore])
    assert got.blob.dtype == got.boxes_xyxy.dtype == got.ignored_xyxy.dtype == np.float32


@pytest.mark.parametrize(('size', 'height', 'width'), [
    ((213, 320), 224, 320), ((320, 213), 96, 64), ((96, 320), 96, 320), ((10, 320), 32, 320)])
def test_stretch_rect_has_the_size_of_serving_in_the_middle_of_the_batch(size, height, width):
    spec = msgspec.structs.replace(PLAIN, resize='stretch_rect', pad_value=77)
    sample = noise(ImageSize(*size), 0)
    sample.image_bgr[:] = 200
    batch_size = ImageSize(224, 320) if width > 64 else ImageSize(96, 320)
    got = make_training_sample([sample], 0, np.random.default_rng(0), AugmentSpec.none(), spec,
                               batch_size, STRIDE)
    serving = Letterbox.fit(ImageSize(*size), batch_size, spec, STRIDE).input_size
    assert serving == ImageSize(height, width)
    bright = got.blob[0] > (140 - spec.mean[0]) / spec.std[0]
    rows, columns = np.flatnonzero(bright.any(1)), np.flatnonzero(bright.any(0))
    top, left = (batch_size.height - height) // 2, (batch_size.width - width) // 2
    assert (rows[0], rows[-1] + 1) == (top, top + height)
    assert (columns[0], columns[-1] + 1) == (left, left + width)
    assert bright[top:top + height, left:left + width].all()


def test_boxes_and_classes_stay_in_step_over_many_draws():
    samples = [noise(ImageSize(60 + 17 * index, 200 - 23 * index), 3 * index, index)
               for index in range(6)]
    found = 0
    for seed in range(200):
        got = make(samples, seed=seed)
        assert got.blob.shape == (3, *INPUT) and np.isfinite(got.blob).all()
        assert got.boxes_xyxy.shape == (len(got.class_ids), 4)
        for boxes in (got.boxes_xyxy, got.ignored_xyxy):
            assert (boxes >= 0).all() and (boxes <= (INPUT[::-1] * 2)).all()
            assert (boxes[:, 2:] > boxes[:, :2]).all()
        assert (got.boxes_xyxy[:, 2:] - got.boxes_xyxy[:, :2] >= WILD.min_side).all()
        assert len(got.image_paths) in (1, 2, 4, 5, 8)
        found += len(got.class_ids)
    assert found > 200


def test_class_of_a_box_is_the_color_under_it():
    samples = []
    for class_id in range(4):
        sample = painted(box=(60 + 10 * class_id, 40, 160, 110), class_id=class_id)
        samples.append(replace(sample, image_bgr=sample.image_bgr // 255 * (60 + 60 * class_id)))
    spec = msgspec.structs.replace(AugmentSpec.none(), mosaic=1.0, scale=(0.5, 1.5), flip=0.5,
                                   min_side=8.0)
    checked = 0
    for seed in range(60):
        got = make(samples, spec, seed)
        for (left, top, right, bottom), class_id in zip(got.boxes_xyxy.astype(int), got.class_ids,
                                                        strict=True):
            inside = got.blob[0, top + 2:bottom - 2, left + 2:right - 2]
            np.testing.assert_allclose(inside, 60 + 60 * class_id, atol=2)
            checked += 1
    assert checked > 60


def test_same_chance_same_sample_and_buffers_change_nothing():
    samples = [noise(ImageSize(80, 120), 5, seed) for seed in range(3)]
    first, again = make(samples, seed=(1, 2, 3)), make(samples, seed=(1, 2, 3))
    buffers = sample_buffers(PLAIN, INPUT)
    buffered = make_training_sample(samples, 0, np.random.default_rng((1, 2, 3)), WILD, PLAIN,
                                    INPUT, STRIDE, buffers)
    for other in (again, buffered):
        for one, two in zip(first[:4], other[:4], strict=True):
            np.testing.assert_array_equal(one, two)
    assert not np.array_equal(first.blob, make(samples, seed=(1, 2, 4)).blob)
    assert buffered.blob is buffers.blob


def test_mixup_shows_both_images_and_their_boxes():
    samples = [painted(INPUT, (10, 20, 60, 90), 0), painted(INPUT, (150, 100, 250, 180), 1)]
    spec = msgspec.structs.replace(AugmentSpec.none(), mixup=1.0)
    for seed in range(10):
        got = make(samples, spec, seed)
        if set(got.class_ids) == {0, 1}:
            break
    shares = got.blob[0, 50, 30] / 255, got.blob[0, 150, 200] / 255
    assert sum(shares) == pytest.approx(1, abs=0.01) and 0.39 < min(shares)
    np.testing.assert_array_equal(got.boxes_xyxy, [(10, 20, 60, 90), (150, 100, 250, 180)])
    assert [path.name for path in got.image_paths] == ['0.png', '1.png']


def test_images_without_boxes_and_read_only_images_will_do():
    sample = noise(ImageSize(50, 70))
    sample.image_bgr.setflags(write=False)
    before = sample.image_bgr.copy()
    for seed in range(20):
        got = make([sample], seed=seed)
        assert got.boxes_xyxy.shape == got.ignored_xyxy.shape == (0, 4)
    np.testing.assert_array_equal(sample.image_bgr, before)


def test_defaults_keep_most_objects():
    sample = painted()
    counts = [len(make([sample], msgspec.structs.replace(AugmentSpec(), mosaic=0.0),
                       seed).class_ids) for seed in range(100)]
    assert sum(counts) > 90
