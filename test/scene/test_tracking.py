# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

from itertools import count

from lite_detector.core.types import Detections
from lite_detector.scene.tracking import MEMORY_S, Tracker
import numpy as np
import pytest
from tiny_results import detections
from track_scenes import TrackScore, wandering

NAMES = ['person', 'car']
THRESHOLD = 0.4


def box(x: float, y: float = 50, side: float = 40) -> tuple[float, ...]:
    """Return a box with its centre there."""
    return x - side / 2, y - side / 2, x + side / 2, y + side / 2


def person(x: float, score: float = 0.9, class_id: int = 0) -> Detections:
    return detections((box(x), score, class_id))


class Camera:
    """A tracker with a clock of 10 Hz."""

    def __init__(self, *shared: object) -> None:
        self.tracker = Tracker(*shared)
        self.stamp_s = 100.0

    def see(self, found: Detections, after_s: float = 0.1,
            class_names: list[str] = NAMES) -> list[int]:
        """Return the ids of what is shown."""
        self.stamp_s += after_s
        return self.tracker.update(found, self.stamp_s, THRESHOLD,
                                   class_names).track_ids.tolist()


@pytest.fixture
def camera() -> Camera:
    return Camera()


def test_nothing_is_tracked_where_nothing_is_found(camera):
    for _ in range(3):
        assert camera.see(Detections.empty()) == []
    assert camera.tracker.remembered == 0


def test_class_thresholds_say_which_class_begins_a_track():
    thresholds = np.array([0.6, 0.3], np.float32)
    found = detections((box(0), 0.5, 0), (box(500), 0.4, 1))
    tracked = Tracker().update(found, 100.0, thresholds, ['person', 'dog'])
    assert tracked.detections.class_ids.tolist() == [1]


def test_objects_keep_their_ids_while_they_move(camera):
    for step in range(20):
        found = detections((box(50 + 8 * step), 0.9, 0), (box(400 - 8 * step, 300), 0.8, 0))
        tracked = camera.tracker.update(found, 100 + step / 10, THRESHOLD, NAMES)
        assert tracked.track_ids.tolist() == [1, 2]
        np.testing.assert_array_equal(tracked.detections.boxes_xyxy, found.boxes_xyxy)


def test_every_box_over_the_threshold_is_shown_with_an_id(camera):
    assert camera.see(detections((box(50), 0.9, 0), (box(300), 0.4, 1))) == [1, 2]


def lost(camera: Camera, found: Detections, after_s: float = 0.1) -> list[tuple]:
    """Return (centre x, score, class) of what is lost in the next image."""
    camera.stamp_s += after_s
    gone = camera.tracker.update(found, camera.stamp_s, THRESHOLD, NAMES).lost
    centers = (gone.boxes_xyxy[:, 0] + gone.boxes_xyxy[:, 2]) / 2
    return [(round(float(center)), round(float(score), 2), int(class_id)) for
            center, score, class_id in zip(centers, gone.scores, gone.class_ids, strict=True)]


def test_what_was_found_twice_is_lost_once_with_its_last_score(camera):
    assert lost(camera, Detections.empty()) == []
    assert lost(camera, person(50, 0.9)) == []
    assert lost(camera, person(50, 0.8)) == []
    assert lost(camera, person(50, 0.3)) == [], 'unlikely, but there'
    assert lost(camera, Detections.empty()) == [(50, 0.3, 0)]
    assert lost(camera, Detections.empty()) == [], 'it was not in the last image'
    assert lost(camera, person(50, 0.7)) == []
    # of another class; the person is lost again
    assert lost(camera, person(50, 0.9, class_id=1)) == [(50, 0.7, 0)]
    assert lost(camera, Detections.empty()) == [], 'the other one was found once'


def test_several_lost_objects_come_best_first_and_where_they_were_expected(camera):
    for step in range(10):
        lost(camera, detections((box(100 + 10 * step), 0.6, 1), (box(400, 300), 0.5, 0)))
    (first, *rest), second = lost(camera, Detections.empty())
    assert (first, rest) == (pytest.approx(200, abs=4), [0.6, 1])
    assert second == (400, 0.5, 0)


def test_after_a_jump_of_the_clock_nothing_is_lost(camera):
    for _ in range(3):
        lost(camera, person(50))
    assert lost(camera, Detections.empty(), after_s=-100) == []


def test_unlikely_box_makes_no_track(camera):
    assert camera.see(person(50, 0.3)) == []
    assert camera.tracker.remembered == 0


def test_unlikely_box_continues_what_was_found_twice(camera):
    assert camera.see(person(50)) == [1]
    assert camera.see(person(50, 0.3)) == [], 'found once: that may have been a mistake'
    assert camera.see(person(50)) == [1]
    for _ in range(30):
        assert camera.see(person(50, 0.3)) == [1]


def test_likely_boxes_choose_before_unlikely_ones(camera):
    # the unlikely box overlaps the track better, the likely one well enough
    for _ in range(3):
        camera.see(person(50))
    found = detections((box(58), 0.9, 0), (box(50), 0.3, 0))
    assert camera.see(found) == [1]


def test_object_that_is_missed_keeps_its_id_where_it_is_expected(camera):
    for step in range(10):
        assert camera.see(person(50 + 20 * step)) == [1]
    for _ in range(5):  # 100 pixels on, more than its side
        assert camera.see(Detections.empty()) == []
    assert camera.see(person(50 + 20 * 15)) == [1]


def test_object_that_turns_while_it_is_missed_is_found_again(camera):
    for step in range(10):
        camera.see(person(50 + 10 * step))
    for _ in range(5):
        camera.see(Detections.empty())
    # expected at 200, it waits at 145: no overlap, but in reach
    assert camera.see(person(145)) == [1]


def test_object_that_stays_away_is_forgotten(camera):
    camera.see(person(50))
    camera.see(Detections.empty(), MEMORY_S - 0.1)
    assert camera.tracker.remembered == 1
    camera.see(Detections.empty(), 0.2)
    assert camera.tracker.remembered == 0
    assert camera.see(person(50)) == [2], 'a number is never given twice'


def test_classes_are_tracked_apart(camera):
    assert camera.see(person(50, class_id=0)) == [1]
    assert camera.see(person(50, class_id=1)) == [2]
    assert camera.see(detections((box(50), 0.9, 1), (box(50), 0.8, 0))) == [2, 1]


def test_time_counts_and_not_images(camera):
    # 200 pixels per second at any rate of images
    x, ids = 50.0, set()
    for step_s in (0.1, 0.05, 0.1, 0.02, 0.1, 0.1, 0.4, 0.01, 0.3, 0.5):
        x += 200 * step_s
        ids.update(camera.see(person(x), step_s))
    assert ids == {1}


@pytest.mark.parametrize('jump_s', [-3600.0, -MEMORY_S - 0.1, MEMORY_S + 0.1, 1e9])
def test_clock_that_jumps_starts_anew(camera, jump_s):
    camera.see(person(50))
    assert camera.see(person(50), jump_s) == [2]
    assert camera.see(person(50)) == [2]


@pytest.mark.parametrize('step_s', [0.0, -0.5])
def test_clock_that_is_set_back_a_little_stands_still(camera, step_s):
    for step in range(5):
        camera.see(person(50 + 10 * step))
    assert camera.see(person(90), step_s) == [1]
    assert camera.see(person(100)) == [1]


def test_two_cameras_share_numbers_but_no_objects():
    ids = count(1)
    front, rear = Camera(ids), Camera(ids)
    for _ in range(3):
        assert front.see(person(50)) == [1]
        assert rear.see(person(50)) == [2]


def test_objects_survive_a_model_with_other_classes_by_name(camera):
    found = detections((box(50), 0.9, 0), (box(300), 0.8, 1))
    assert camera.see(found) == [1, 2]
    only_cars = ['dog', 'car']
    assert camera.see(person(300, class_id=1), class_names=only_cars) == [2]
    assert camera.see(person(50, class_id=0), class_names=only_cars) == [3], 'this is a dog'
    assert camera.see(person(300, class_id=0), class_names=['car']) == [2]


def test_box_of_no_extent_does_no_harm(camera):
    for _ in range(3):
        assert camera.see(detections(((50, 50, 50, 50), 0.9, 0))) == [1]


# scores of whole sequences

def score(frames, tracker: Tracker, least: float = 0.0) -> TrackScore:
    total = TrackScore()
    for frame in frames:
        found = frame.found.select(frame.found.scores >= least)
        tracked = tracker.update(found, frame.stamp_s, 0.35, NAMES)
        total.add(frame.boxes_xyxy, tracked.detections.boxes_xyxy, tracked.track_ids.tolist())
    return total


def test_scores_of_worked_examples():
    truth = np.array([box(50), box(200)], np.float32)
    perfect = TrackScore()
    for _ in range(4):
        perfect.add(truth, truth, [7, 8])
    assert (perfect.switches, perfect.missed, perfect.false) == (0, 0, 0)
    assert perfect.idf1 == 1
    # 8 objects: the second is missed once, the first is renamed half way, one box is false
    total = TrackScore()
    total.add(truth, truth, [1, 2])
    total.add(truth, truth[:1], [1])
    total.add(truth, truth, [3, 2])
    total.add(truth, np.concatenate((truth, [box(400)])).astype(np.float32), [3, 2, 9])
    assert (total.missed, total.false, total.switches) == (1, 1, 1)
    # 3 of 4 with track 2, 2 of 4 with track 1 or 3: 2 * 5 of 8 objects and 8 boxes
    assert total.idf1 == pytest.approx(10 / 16)


def test_tracker_follows_a_wandering_crowd():
    scores = [score(wandering(8, 200, seed), Tracker()) for seed in range(2)]
    assert min(each.mota for each in scores) > 0.85
    assert min(each.idf1 for each in scores) > 0.8


def test_unlikely_boxes_make_tracks_whole():
    frames = list(wandering(8, 200))
    both, likely = score(frames, Tracker()), score(frames, Tracker(), least=0.35)
    assert both.mota > likely.mota + 0.1
    assert both.idf1 > likely.idf1 + 0.05
