# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Images that occur several times in an epoch, and are read once."""

from lite_detector.data.repeat import repeat_entries, RepeatedDataset
import pytest


@pytest.mark.parametrize(('sizes', 'repeat', 'wanted'), [
    ((3,), (1,), [0, 1, 2]),
    ((2, 3), (1, 1), [0, 1, 2, 3, 4]),
    ((2, 3), (3, 1), [0, 1, 2, 3, 4, 0, 1, 0, 1]),
    ((2, 1), (1, 3), [0, 1, 2, 2, 2]),
    ((1, 0, 1), (2, 5, 1), [0, 1, 0])])
def test_entries_are_all_first_copies_then_the_others(sizes, repeat, wanted):
    assert repeat_entries(sizes, repeat).tolist() == wanted


def test_view_hands_on_the_sample_of_each_entry():
    view = RepeatedDataset('abcde', repeat_entries((2, 3), (3, 1)))
    assert len(view) == 9
    assert ''.join(view) == 'abcdeabab'
    assert view[-1] == 'b'
