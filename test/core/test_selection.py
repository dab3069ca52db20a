# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Score thresholds of single classes as text."""

from lite_detector.core.errors import ConfigError
from lite_detector.core.selection import margins, parse_class_thresholds
from lite_detector.core.types import Detections
import numpy as np
import pytest


@pytest.mark.parametrize(('texts', 'thresholds'), [
    ([], {}),
    (['person:0.5', 'dog:1'], {'person': 0.5, 'dog': 1.0}),
    # names as data sets have them
    (['traffic light: 0', 'sign: stop:0.25'], {'traffic light': 0.0, 'sign: stop': 0.25}),
])
def test_class_thresholds_are_read(texts, thresholds):
    assert parse_class_thresholds(texts) == thresholds


@pytest.mark.parametrize(('texts', 'message'), [
    (['person'], "class_thresholds: 'person'; expected NAME:SCORE"),
    (['person:'], "'person:'; expected"),
    ([':0.5'], "':0.5'; expected"),
    (['person:high'], 'expected NAME:SCORE'),
    (['person:1.01'], 'a score from 0 to 1'),
    (['person:-0.1'], 'a score from 0 to 1'),
    (['person:nan'], 'a score from 0 to 1'),
    (['dog:0.1', 'person:0.5', 'person: 0.6'], "'person' has two thresholds"),
])
def test_class_threshold_that_is_malformed_is_refused_in_one_line(texts, message):
    with pytest.raises(ConfigError, match=message) as refusal:
        parse_class_thresholds(texts)
    assert '\n' not in str(refusal.value)


def test_margins_take_one_threshold_or_one_per_class():
    found = Detections(np.zeros((2, 4), np.float32), np.array([0.5, 0.75], np.float32),
                       np.array([1, 0]))
    assert margins(found, 0.5, ['a', 'b']).tolist() == [0, 0.25]
    assert margins(found, np.array([0.25, np.inf]), ['a', 'b']).tolist() == [-np.inf, 0.5]
    assert margins(Detections.empty(), 0.5, ['a']).shape == (0,)
