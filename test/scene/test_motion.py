# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

from lite_detector.scene.motion import PositionFilter, START_SPEED_M_S
import numpy as np
import pytest

EXACT = np.diag((0.01, 0.01, 0.01)) ** 2


def test_update_without_objects():
    velocities, deviations = PositionFilter().update(
        [], np.zeros((0, 3)), np.zeros((0, 3, 3)), 1.0)
    assert velocities.shape == (0, 3) and deviations.shape == (0,)


def test_velocity_of_a_new_object_is_zero_and_uncertain():
    velocities, deviations = PositionFilter().update(['1'], [(1, 2, 3)], [EXACT], 100.0)
    assert velocities.tolist() == [[0, 0, 0]]
    assert deviations.tolist() == [START_SPEED_M_S]


def test_velocity_after_a_second_image_is_nearly_the_difference():
    motion = PositionFilter()
    motion.update(['1'], [(0, 0, 5)], [EXACT], 100.0)
    velocities, deviations = motion.update(['1'], [(0.2, 0, 4.9)], [EXACT], 100.1)
    # variance of the two measurements over 0.1 s, and a third of that of the acceleration
    np.testing.assert_allclose(velocities, [(2, 0, -1)], atol=0.01)
    assert deviations[0] == pytest.approx((0.02 + 0.1 / 3) ** 0.5, abs=0.005)


def test_velocities_of_many_objects_under_noise_and_irregular_times():
    random = np.random.default_rng(0)
    truth = random.uniform(-2, 2, (30, 3))
    start = random.uniform(-5, 5, (30, 3))
    noise = np.diag((0.03, 0.03, 0.1))
    motion, stamp_s = PositionFilter(), 50.0
    for _ in range(40):
        stamp_s += random.uniform(0.03, 0.12)
        seen = np.flatnonzero(random.random(30) > 0.2)
        places = start[seen] + truth[seen] * stamp_s + random.normal(size=(len(seen), 3)) @ noise
        velocities, deviations = motion.update(
            [str(index) for index in seen], places, np.repeat((noise ** 2)[None], len(seen), 0),
            stamp_s)
    errors = velocities - truth[seen]
    assert np.sqrt((errors ** 2).mean()) < 0.25
    # the reported deviation is realistic
    assert np.sqrt((errors[:, 2] ** 2).mean()) < 2 * deviations.mean()


def test_correlated_measurements_move_only_along_their_ray():
    ray = np.array((0.5, 0, 1))
    covariance = np.outer(ray, ray) * 0.5 ** 2 + EXACT
    motion = PositionFilter()
    for stamp_s in np.arange(0, 1, 0.1):
        velocities, _ = motion.update(['1'], [ray * (6 + 2 * stamp_s)], [covariance], stamp_s)
    assert velocities[0, 0] == pytest.approx(velocities[0, 2] / 2, abs=0.02)


def test_object_that_is_suddenly_elsewhere_starts_anew():
    motion = PositionFilter()
    for index in range(10):
        motion.update(['1'], [(0.1 * index, 0, 5)], [EXACT], index / 10)
    velocities, deviations = motion.update(['1'], [(1, 0, 9)], [EXACT], 1.0)
    assert velocities.tolist() == [[0, 0, 0]]
    assert deviations.tolist() == [START_SPEED_M_S]


@pytest.mark.parametrize('step_s', [2.5, -2.5])
def test_jump_of_the_clock_forgets(step_s):
    motion = PositionFilter()
    motion.update(['1'], [(0, 0, 5)], [EXACT], 10.0)
    motion.update(['1'], [(0.1, 0, 5)], [EXACT], 10.1)
    _, deviations = motion.update(['1'], [(0, 0, 5)], [EXACT], 10.1 + step_s)
    assert deviations.tolist() == [START_SPEED_M_S]


def test_object_that_is_not_seen_for_long_is_forgotten():
    motion = PositionFilter()
    motion.update(['1', '2'], [(0, 0, 5), (0, 0, 6)], [EXACT, EXACT], 10.0)
    for stamp_s in (11.0, 12.5):
        motion.update(['2'], [(0, 0, 6)], [EXACT], stamp_s)
    _, deviations = motion.update(['1', '2'], [(0, 0, 5), (0, 0, 6)], [EXACT, EXACT], 12.6)
    assert deviations[0] == START_SPEED_M_S > deviations[1]
