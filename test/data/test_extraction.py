# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Which frames of a recording are kept, and for what."""

from importlib.util import find_spec
import math
from pathlib import Path

import cv2
from lite_detector.core.types import ImageSize
from lite_detector.data.duplicates import look_of, nearest_look
from lite_detector.data.extraction import (
    choose_frames,
    FrameChoice,
    FrameFacts,
    is_blurred,
    sharpness_of,
    split_by_time,
)
import numpy as np
import pytest

ALL = FrameChoice(min_difference=0, blur=0, val_fraction=0)


def facts(time_s: float, look: int, sharpness: float = 1.0) -> FrameFacts:
    """Return a frame whose look has the low bits of a number."""
    return FrameFacts(time_s, ImageSize(48, 64), sharpness,
                      np.frombuffer(look.to_bytes(32, 'big'), np.uint8))


def test_choice_of_nothing_is_nothing():
    chosen, left_out = choose_frames([], FrameChoice())
    assert chosen == {} and not left_out.total()


def test_choice_without_conditions_keeps_everything():
    chosen, left_out = choose_frames([facts(0, 7), facts(1, 7, 0)], ALL)
    assert chosen == {0: 'train', 1: 'train'} and not left_out.total()


def test_choice_leaves_out_looks_that_were_there_at_any_time():
    frames = [facts(0, 0b0000), facts(1, 0b0001), facts(2, 0b0111), facts(3, 0b0011),
              facts(4, 0b0000), facts(5, 0b111000)]
    chosen, left_out = choose_frames(frames, FrameChoice(min_difference=3, blur=0, val_fraction=0))
    # 0b0111 and 0b111000 differ in 3 bits from 0; what is left out hides nothing behind it
    assert list(chosen) == [0, 2, 5]
    assert left_out['similar to another frame'] == 3


def test_choice_looks_for_doubles_among_the_sharp_only():
    frames = [facts(0, 0, 100), facts(1, 0b1111, 1), facts(2, 0b1111, 100), facts(3, 0, 100)]
    chosen, left_out = choose_frames(frames, FrameChoice(min_difference=1, val_fraction=0))
    assert list(chosen) == [0, 2]
    assert left_out == {'blurred': 1, 'similar to another frame': 1,
                        'between training and validation': 0}


def test_blurred_is_relative_to_the_neighbours():
    # a textured place, then a plain one: only what falls out of its own place is blurred
    sharpness = [100.0] * 40 + [5.0] * 40
    sharpness[10], sharpness[70] = 20.0, 1.0
    found = np.flatnonzero(is_blurred(sharpness, 0.3)).tolist()
    assert found[0] == 10 and found[-1] == 70
    # on the way from one to the other, fewer than NEIGHBOURS frames are doubted
    assert all(40 <= index < 55 for index in found[1:-1])
    assert not is_blurred([], 0.3).any() and not is_blurred([0.0, 0.0], 0.3).any()


def test_split_without_time_is_for_training():
    assert split_by_time([], 0.2) == []
    assert split_by_time([5.0], 0.2) == ['train']
    assert split_by_time([5.0, 5.0], 0.2) == ['train', 'train']
    assert split_by_time([0.0, 1.0, 2.0], 0) == ['train'] * 3


def test_split_of_a_short_recording_ends_with_validation():
    # 10 s: one stretch, validation from 8 s on, half a second before it is the gap
    splits = split_by_time([0, 7.4, 7.5, 7.6, 7.9, 8.0, 9.0, 10.0], 0.2)
    assert splits == ['train', 'train', 'train', None, None, 'val', 'val', 'val']


def test_split_of_a_long_recording_alternates_with_gaps_on_both_sides():
    # 120 s: two stretches of 60 s with validation from 48 to 60 s, gaps of 2 s
    times = [45.9, 46.1, 47.9, 48.1, 59.9, 60.1, 61.9, 62.1, 105.9, 106.1, 108.1, 120.0]
    splits = split_by_time([0, *times], 0.2)
    assert splits == ['train', 'train', None, None, 'val', 'val', None, None, 'train', 'train',
                      None, 'val', 'val']


@pytest.mark.parametrize('fraction', [0.1, 0.2, 0.5])
def test_split_keeps_its_fraction_and_no_neighbours(fraction):
    times = np.arange(0, 307, 0.1).tolist()
    splits = split_by_time(times, fraction)
    assert splits.count('val') / len(times) == pytest.approx(fraction, abs=0.01)
    of = {name: np.array([time for time, split in zip(times, splits, strict=True)
                          if split == name]) for name in ('train', 'val')}
    assert np.abs(of['train'][:, None] - of['val'][None, :]).min() >= 1.99


def test_nearest_look_counts_bits():
    looks = np.array([[255, 255], [255, 0], [0, 0]], np.uint8)
    look = np.array([1, 0], np.uint8)
    assert [nearest_look(look, looks[:count]) for count in range(4)] == [math.inf, 15, 7, 1]


@pytest.fixture
def photo() -> np.ndarray:
    """Return a photograph of 512 x 512 pixels."""
    spec = find_spec('skimage')
    if spec is None:
        pytest.skip('no scikit-image here, whose photographs this needs')
    return cv2.imread(str(Path(spec.origin).parent / 'data' / 'astronaut.png'))


def test_sharpness_of_a_photograph_falls_with_motion_and_hardly_with_size(photo):
    sharp = sharpness_of(photo)
    shaken = cv2.filter2D(photo, -1, np.full((1, 15), 1 / 15, np.float32))
    assert sharpness_of(shaken) < 0.3 * sharp
    darker = (0.8 * photo).astype(np.uint8)
    assert sharpness_of(darker) > 0.5 * sharp
    assert sharpness_of(np.zeros((48, 1500, 3), np.uint8)) == 0


def test_look_of_a_photograph_stays_with_noise_and_changes_with_the_view(photo):
    noisy = np.clip(photo + np.random.default_rng(0).normal(0, 4, photo.shape), 0, 255)
    looks = np.stack([look_of(view) for view in (noisy.astype(np.uint8), photo[:, 100:])])
    near, far = (nearest_look(look_of(photo), looks[index:index + 1]) for index in (0, 1))
    assert near <= 24 < far
