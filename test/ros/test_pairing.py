# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

from lite_detector.ros.pairing import KEEP_BYTES, Pairing, WAIT_S
import pytest

MS = 1_000_000
START = 1_000_000 * MS


def pairing_with(*stamps_ms: int, tolerance_s: float = 0.05) -> Pairing[str]:
    """Return a pairing that has kept depth of these stamps, named after them."""
    pairing = Pairing('depth', tolerance_s)
    for stamp in stamps_ms:
        pairing.add_depth(START + stamp * MS, str(stamp).encode())
    return pairing


def ask(pairing: Pairing[str], stamp_ms: int, wait_s: float = 0.0) -> list:
    pairing.add_detections(START + stamp_ms * MS, f'at {stamp_ms}', 10.0)
    return pairing.decided(10.0 + wait_s)


def test_nearest_depth_is_taken():
    assert ask(pairing_with(0, 33, 67, 100), 60) == [('at 60', b'67', '')]
    assert ask(pairing_with(0, 33, 67, 100), 40) == [('at 40', b'33', '')]


def test_detections_wait_for_depth_that_may_be_nearer():
    pairing = pairing_with(0, 33)
    assert ask(pairing, 60) == []
    pairing.add_depth(START + 67 * MS, b'67')
    assert pairing.decided(10.0) == [('at 60', b'67', '')]


def test_detections_that_have_waited_take_what_is_there():
    pairing = pairing_with(0, 33)
    assert ask(pairing, 60, wait_s=WAIT_S) == [('at 60', b'33', '')]


def test_no_depth_at_all_is_the_reason():
    assert ask(pairing_with(), 60, WAIT_S) == [('at 60', None, 'no depth has arrived')]


@pytest.mark.parametrize('depth_ms, said', [
    (210, '+0.150 s from the stamp of the detections; expected at most 0.05 s; check that both'),
    (-60, '-0.120 s from the stamp of the detections; expected at most 0.05 s; check that both'),
    (120_000, '+119.940 s from the stamp of the detections; expected at most 0.05 s; they are '
              'stamped by two clocks'),
])
def test_stamps_that_do_not_match_are_reported_with_their_offset(depth_ms, said):
    (pair,) = ask(pairing_with(depth_ms), 60, WAIT_S)
    assert pair.depth is None
    assert pair.reason.startswith('no depth matches: the nearest stamp is ' + said)


def test_detections_older_than_the_kept_depth_are_reported():
    (pair,) = ask(pairing_with(*range(0, 4000, 100)), 60)
    assert 'detections come later than depth is kept' in pair.reason


def test_order_is_kept_and_few_wait():
    pairing = pairing_with(0)
    decided = [pair for stamp in range(10, 90, 10) for pair in ask(pairing, stamp)]
    assert [pair.detections for pair in decided] == ['at 10', 'at 20', 'at 30', 'at 40']
    assert [pair.depth for pair in decided] == [b'0'] * 4


def test_depth_is_kept_by_time_and_by_bytes():
    pairing = pairing_with()
    for index in range(10):
        pairing.add_depth(START + index * 100 * MS, bytes(KEEP_BYTES // 4))
    (pair,) = ask(pairing, 0)
    assert '+0.600 s' in pair.reason


def test_depth_of_a_clock_that_jumped_back_is_not_mixed_with_older():
    pairing = pairing_with(0, 33, 5000, 5033, 0)
    assert ask(pairing, 0) == [('at 0', b'0', '')]
    (pair,) = ask(pairing, -5000)
    assert '+5.000 s' in pair.reason
