# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Thresholds of int8 from histograms whose answer is known."""

from lite_detector.export.calibration import Histogram, kl_threshold, METHODS, percentile
import numpy as np
import pytest


def histogram_of(*parts: np.ndarray) -> Histogram:
    histogram = Histogram()
    for part in parts:
        histogram.add(np.asarray(part, np.float32))
    return histogram


@pytest.mark.parametrize('values', [[], [0.0], [0, -0.0, 0]])
@pytest.mark.parametrize('method', METHODS)
def test_layer_that_reads_nothing_has_threshold_zero(method, values):
    assert METHODS[method](histogram_of(values)) == 0


@pytest.mark.parametrize('method', METHODS)
def test_single_value_is_the_threshold_whatever_its_sign(method):
    assert METHODS[method](histogram_of([-3.0])) == 3


@pytest.mark.parametrize('method', METHODS)
def test_threshold_does_not_depend_on_the_order(method):
    small, large = np.linspace(0, 0.1, 1000), np.linspace(-50, 50, 1000)
    first, second = (METHODS[method](histogram_of(*order))
                     for order in ((small, large), (large, small)))
    assert first == pytest.approx(second, rel=0.02)


def test_percentile_cuts_off_what_is_rare():
    values = np.ones(100_000, np.float32)
    values[0] = 100
    histogram = histogram_of(values)
    assert percentile(histogram, 99.99) == pytest.approx(1, abs=128 / 4096)
    assert percentile(histogram, 99.9999) == 100


def test_kl_cuts_off_a_far_outlier_and_keeps_an_even_spread():
    random = np.random.default_rng(0)
    many = np.abs(random.normal(0, 1, 200_000))
    assert kl_threshold(histogram_of(many, [100.0])) < 20
    assert kl_threshold(histogram_of(random.uniform(0, 1, 200_000))) > 0.95
