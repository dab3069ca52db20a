# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

from itertools import count

from lite_detector.core.errors import ConfigError
from lite_detector.scene.following import (
    Follower,
    FOLLOWING,
    LOST,
    OFF,
    PREDICTED,
    SEARCHING,
    SeenObjects,
)
import numpy as np
import pytest

CENTER = (320.0, 240.0)


def seen(stamp_s: float, *objects: tuple[str, float, float], ids: str = '') -> SeenObjects:
    """Return objects of 40x80 px, as name and centre; ids has one letter for each."""
    boxes = [(x - 20, y - 40, x + 20, y + 40) for _, x, y in objects]
    return SeenObjects(stamp_s, np.array(boxes, np.float32).reshape(-1, 4),
                       [name for name, _, _ in objects], list(ids) or [''] * len(objects))


def started(*objects, ids: str = '', wanted: str = 'person', **options) -> Follower:
    """Return a follower that has seen these objects twice."""
    follower = Follower(wanted, **options)
    follower.update(seen(0.0, *objects, ids=ids), CENTER)
    follower.update(seen(0.1, *objects, ids=ids), CENTER)
    return follower


def test_follower_of_nothing_is_off():
    follower = Follower()
    assert follower.update(seen(0.0, ('person', 300, 200)), CENTER) is None
    assert follower.state == OFF


def test_id_without_number_is_refused():
    with pytest.raises(ConfigError, match='expected a track id'):
        Follower('id: ')


def test_object_that_is_found_once_is_not_followed():
    follower = Follower('person')
    for stamp_s, objects in ((0.0, [('person', 300, 200)]), (0.1, []), (0.2, [('person', 9, 9)])):
        assert follower.update(seen(stamp_s, *objects), CENTER) is None
    assert follower.state == SEARCHING


def test_nearest_object_of_the_class_to_the_centre_is_chosen():
    follower = started(('dog', 320, 240), ('person', 100, 240), ('person', 340, 200))
    target = follower.update(seen(0.2, ('person', 342, 200), ('person', 101, 240)), CENTER)
    assert target.index == 0 and follower.state == FOLLOWING


def test_object_keeps_its_id_though_another_one_is_nearer_to_the_centre():
    follower = started(('person', 200, 240), ids='7')
    target = follower.update(seen(0.2, ('person', 320, 240), ('person', 190, 240), ids='87'),
                             CENTER)
    assert target.index == 1 and follower.track_id == '7'


def test_object_that_gets_another_id_is_kept_where_it_is_expected():
    follower = Follower('person')
    for step in range(8):
        follower.update(seen(step / 10, ('person', 200 + 10 * step, 240), ids='7'), CENTER)
    assert follower.update(seen(0.8), CENTER).index is None
    target = follower.update(seen(0.9, ('person', 291, 240), ids='9'), CENTER)
    assert target.index == 0 and follower.track_id == '9'


def test_other_object_that_was_in_sight_with_it_does_not_take_its_place():
    follower = started(('person', 310, 240), ('person', 350, 240), ids='ab')
    assert follower.track_id == 'a'
    target = follower.update(seen(0.2, ('person', 312, 240), ids='b'), CENTER)
    assert target.index is None and follower.state == PREDICTED


@pytest.mark.parametrize('other', [('dog', 310, 240), ('person', 400, 240)])
def test_object_without_id_is_neither_another_class_nor_far_away(other):
    follower = started(('person', 310, 240))
    assert follower.update(seen(0.2, other), CENTER).index is None


def test_short_loss_is_predicted_and_a_longer_one_is_lost():
    follower = Follower('person', memory_s=0.5)
    for step in range(11):
        follower.update(seen(step / 10, ('person', 200 + 10 * step, 240)), CENTER)
    target = follower.update(seen(1.4), CENTER)
    # 100 px/s; the filter has not yet all of it
    middle = (target.box_xyxy[0] + target.box_xyxy[2]) / 2
    assert target.index is None and middle == pytest.approx(340, abs=3)
    assert follower.update(seen(1.6), CENTER) is None
    assert follower.state == LOST
    # back after that, and seen twice, an object of the class is followed again
    follower.update(seen(1.7, ('person', 400, 240)), CENTER)
    assert follower.update(seen(1.8, ('person', 400, 240)), CENTER).index == 0
    assert follower.state == FOLLOWING


def test_wanted_id_is_followed_at_once_and_awaited_after_a_loss():
    follower = Follower('id:b', memory_s=0.5)
    objects = (('person', 310, 240), ('person', 350, 240))
    assert follower.update(seen(0.0, *objects, ids='ab'), CENTER).index == 1
    assert follower.update(seen(1.0, objects[0], ids='a'), CENTER) is None
    assert follower.state == LOST
    assert follower.update(seen(2.0, objects[0], ids='a'), CENTER) is None
    assert follower.update(seen(3.0, *objects, ids='ab'), CENTER).index == 1


def test_clock_that_goes_back_loses_the_object():
    follower = started(('person', 310, 240), ids='7')
    assert follower.update(seen(-5.0, ('person', 310, 240), ids='7'), CENTER) is None
    assert follower.state == LOST


class Flight:
    """
    A drone flies over people who walk; who is found as what is known.

    :param tracked: whether the detector gives ids; some of its tracks break and get another one.
    """

    def __init__(self, seed: int, tracked: bool, people: int = 6) -> None:
        self._random = np.random.default_rng(seed)
        self._tracked = tracked
        self._places = np.column_stack((self._random.uniform(-6, 6, people),
                                        self._random.uniform(6, 20, people)))
        self._places[0] = (0, 9)
        self._speeds = self._random.normal(0, 0.7, (people, 2))
        self._numbers = count(1)
        self._ids = [str(next(self._numbers)) for _ in range(people)]
        self._hidden_s = np.zeros(people)
        self._yaw, self._stamp_s = 0.0, 100.0

    def image(self, show_first: bool = True,
              alone: bool = False) -> tuple[SeenObjects, list[int], np.ndarray]:
        """Return what is found, which person each box is, and the true centre of the first."""
        random, step_s = self._random, self._random.uniform(0.05, 0.12)
        self._stamp_s += step_s
        self._speeds += random.normal(0, 0.3, self._speeds.shape) * np.sqrt(step_s)
        self._places += self._speeds * step_s
        self._yaw = 0.15 * np.sin(self._stamp_s / 2)  # the camera turns as well
        self._hidden_s -= step_s
        fresh = random.random(len(self._places)) < 0.25 * step_s
        self._hidden_s[fresh] = random.uniform(0.1, 0.7, fresh.sum())
        boxes = [self._box(x, z) for x, z in self._places]
        order = random.permutation(len(boxes))
        shown = [who for who in order if self._hidden_s[who] <= 0 and random.random() > 0.03
                 and (who or show_first)]
        shown = [0] if alone else shown
        for who in np.flatnonzero(fresh & (random.random(len(fresh)) < 0.25)):
            self._ids[who] = str(next(self._numbers))
        sides = np.array([boxes[who][2:] - boxes[who][:2] for who in shown]).reshape(-1, 2)
        noisy = (np.array([boxes[who] for who in shown]).reshape(-1, 4)
                 + random.normal(0, 0.03, (len(shown), 4)) * np.tile(sides, 2))
        ids = [self._ids[who] if self._tracked else '' for who in shown]
        truth = (boxes[0][:2] + boxes[0][2:]) / 2
        return SeenObjects(self._stamp_s, noisy.astype(np.float32), ['person'] * len(shown),
                           ids), shown, truth

    def _box(self, x: float, z: float) -> np.ndarray:
        turned = (np.cos(self._yaw) * x - np.sin(self._yaw) * z,
                  np.sin(self._yaw) * x + np.cos(self._yaw) * z)
        middle, height = 320 + 500 * turned[0] / turned[1], 500 * 1.7 / turned[1]
        return np.array((middle - 0.2 * height, 240 - height / 2, middle + 0.2 * height,
                         240 + height / 2))


def follow_first(flight: Flight, images: int = 150) -> tuple[int, int, list[float]]:
    """
    Let a follower choose the first person, who is alone in sight for two images.

    :return: Number of images until the state is lost, number of those with another person, and
        the errors of the target in pixels.
    """
    follower, wrong, errors = Follower('person', memory_s=1.0), 0, []
    for index in range(images):
        found, who, truth = flight.image(alone=index < 2)
        target = follower.update(found, CENTER)
        if follower.state == LOST:
            return index, wrong, errors
        if target and target.index is not None and who[target.index]:
            wrong += 1
        elif target:
            errors.append(abs((target.box_xyxy[0] + target.box_xyxy[2]) / 2 - truth[0]))
    return images, wrong, errors


@pytest.mark.parametrize('tracked, wrong_share, kept_share', [
    (True, 0.04, 0.85), (False, 0.2, 0.7)])
def test_synthetic_flight_keeps_the_same_person(tracked, wrong_share, kept_share):
    flights = [follow_first(Flight(seed, tracked)) for seed in range(100, 116)]
    lasted, wrong, errors = zip(*flights, strict=True)
    assert sum(wrong) / sum(lasted) <= wrong_share
    assert sum(lasted) / (16 * 150) >= kept_share
    # 500 px per rad: half a degree in the median, also while the person is predicted
    assert np.median(np.concatenate(errors)) < 500 * np.radians(0.5)


def test_synthetic_flight_says_that_the_person_is_lost():
    flight, follower = Flight(3, tracked=True, people=1), Follower('person', memory_s=1.0)
    for _ in range(50):
        follower.update(flight.image()[0], CENTER)
    assert follower.state in (FOLLOWING, PREDICTED)
    for _ in range(40):
        follower.update(flight.image(show_first=False)[0], CENTER)
    assert follower.state == LOST
