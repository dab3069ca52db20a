# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Which networks a search hands out; times are made up."""

from lite_detector.search.candidates import Candidates
from lite_detector.search.choice import choose, MAX_TRIES
import numpy as np
import pytest


def front(*predicted_ms: float) -> Candidates:
    costs = np.zeros((len(predicted_ms), 5))
    costs[:, 0] = predicted_ms
    genes = np.arange(len(predicted_ms), dtype=np.int16)[:, None]
    return Candidates(genes, np.arange(float(len(predicted_ms))), costs)


def times(networks: Candidates, factor: float):
    """Return a measurement that finds a multiple of what was predicted."""
    return lambda places: [float(factor * networks.costs[place, 0]) for place in places]


def test_choice_takes_the_best_and_others_spread_below_it():
    networks = front(1, 2, 3, 4, 5, 6, 7, 8, 9)
    choice = choose(networks, 0, 3, 9.5, times(networks, 1.05))
    assert (choice.places, choice.refused, choice.fits) == ((8, 6, 3), (), True)
    assert choice.measured_ms == pytest.approx((9.45, 7.35, 4.2))


def test_choice_of_a_front_of_one():
    networks = front(3)
    assert choose(networks, 0, 5, None, times(networks, 2)).places == (0,)
    assert choose(networks, 0, 5, 4.0, None) == ((0,), (None,), (), True)


def test_choice_takes_the_next_that_should_fit_if_the_best_measures_over_the_budget():
    networks = front(1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
    choice = choose(networks, 0, 2, 10.0, times(networks, 1.2))
    # 10 takes 12; 8.33 should take 10: 8 takes 9.6
    assert choice.refused == ((9, 12.0),)
    assert (choice.places, choice.fits) == ((7, 3), True)
    assert choice.measured_ms == pytest.approx((9.6, 4.8))


def test_choice_says_so_if_no_network_keeps_the_budget():
    networks = front(8, 9, 10)
    choice = choose(networks, 0, 1, 10.0, times(networks, 2))
    assert (choice.fits, choice.places, choice.measured_ms) == (False, (2,), (20.0,))
    # a clock that goes wrong does not go on for ever
    slow = iter(range(1000))
    many = front(*range(1, 2000))
    choice = choose(many, 0, 1, 10.0, lambda places: [10.01 + next(slow) / 1e6] * len(places))
    assert (choice.fits, len(choice.refused)) == (False, MAX_TRIES)
