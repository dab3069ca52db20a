# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The latency table: interpolation between the measured operators."""

from lite_detector.core.errors import ConfigError
from lite_detector.search.latency import LatencyTable, load_table, save_table
from lite_detector.search.operators import Operator
import pytest


def conv(in_channels: int, out_channels: int, side: int, **more: int) -> Operator:
    return Operator('conv', in_channels, out_channels, side, side, **more)


def table_of(*measured: tuple[Operator, float]) -> LatencyTable:
    return LatencyTable(1, 'a board', 1, 'auto', 1.0, 0.25, measured)


@pytest.fixture
def table() -> LatencyTable:
    """Return a table of pointwise convolutions that take 1 ns per product."""
    return table_of(*((conv(a, b, side), a * b * side * side / 1e6)
                      for a in (16, 64) for b in (16, 64) for side in (10, 40)))


def test_no_operators_take_the_time_of_a_call(table):
    assert table.network_ms([]) == 0.25


def test_what_was_measured_is_given_back(table):
    for operator, ms in table.measured:
        assert table.operator_ms(operator) == pytest.approx(ms)


def test_a_network_is_the_sum_of_its_operators_and_the_call(table):
    assert table.network_ms([conv(16, 16, 10), conv(16, 16, 10)]) == pytest.approx(
        0.25 + 2 * 0.0256)


@pytest.mark.parametrize('operator', [
    conv(32, 48, 20), Operator('conv', 16, 64, 8, 50),
    # up to twice beyond
    conv(128, 16, 80), conv(16, 32, 5)])
def test_a_constant_rate_is_kept_everywhere(table, operator):
    assert table.operator_ms(operator) == pytest.approx(operator.macs / 1e6)


def test_rates_are_interpolated_by_logarithms():
    # 1 ns per product at 16 channels, 4 ns at 64: 2 ns in the middle, at 32
    table = table_of((Operator('depthwise', 16, 16, 10, 10, 3), 16 * 900e-6),
                     (Operator('depthwise', 64, 64, 10, 10, 3), 4 * 64 * 900e-6))
    assert table.operator_ms(Operator('depthwise', 32, 32, 10, 10, 3)) == pytest.approx(
        2 * 32 * 900e-6)


def test_a_point_that_was_not_measured_counts_as_its_nearest_neighbour():
    table = table_of((conv(16, 16, 10), 1.0), (conv(64, 16, 10), 4.0), (conv(16, 64, 10), 4.0))
    assert table.operator_ms(conv(64, 64, 10)) == pytest.approx(16.0)


def test_other_channels_count_as_the_next_multiple_of_8(table):
    # 1 ns for each of its own products, at the rate of 16 to 64 channels
    assert table.operator_ms(conv(9, 63, 10)) == pytest.approx(9 * 63 * 100 / 1e6)
    with pytest.raises(ConfigError, match='expected a measured kind'):  # 8 alone was not measured
        table.operator_ms(conv(16, 1, 10))
    with pytest.raises(ConfigError, match='expected a measured kind'):  # nor an image
        table.operator_ms(conv(3, 16, 10))


def test_fused_activations_cost_nothing_and_swish_is_no_relu():
    def activation(name):
        return Operator('activation', 16, 16, 10, 10, activation=name)
    table = table_of((conv(16, 16, 10), 1.0), (activation('relu'), 0.1),
                     (activation('swish'), 0.5))
    assert table.operator_ms(conv(16, 16, 10)._replace(activation='hardswish')) == pytest.approx(1)
    assert table.operator_ms(activation('leaky_relu')) == pytest.approx(0.1)
    assert table.operator_ms(activation('swish')) == pytest.approx(0.5)


@pytest.mark.parametrize(('operator', 'message'), [
    (conv(16, 300, 10), r'conv 1x1 stride 1, 16 to 300 channels at 10x10; expected the '
                        r'measured range of 16\.\.64 to 16\.\.64 channels and 100\.\.1600 cells'),
    (conv(16, 16, 100), r'expected the measured range of'),
    (conv(16, 16, 10, kernel=3), r'conv 3x3 stride 1, .*; expected a measured kind'),
    (Operator('se', 16, 16, 10, 10), r'se .*; expected a measured kind')])
def test_what_is_far_from_all_that_was_measured_is_refused(table, operator, message):
    with pytest.raises(ConfigError, match=message):
        table.network_ms([operator])


def test_a_table_on_disk_is_the_same_table(table, tmp_path):
    path = tmp_path / 'table.json'
    save_table(path, table)
    again = load_table(path)
    assert again == table
    assert again.operator_ms(conv(32, 32, 20)) == table.operator_ms(conv(32, 32, 20))
    assert len(path.read_text().splitlines()) == len(table.measured)
    assert [each.name for each in tmp_path.iterdir()] == ['table.json']


@pytest.mark.parametrize(('text', 'message'), [
    (None, 'No such file'), ('', 'not a latency table'), ('[1, 2', 'not a latency table'),
    ('{"format": 2}', r'not a latency table: Invalid enum value 2'),
    ('{"format": 1, "board": 1}', 'unknown field `board`')])
def test_a_file_that_is_no_table_is_answered_with_one_line(tmp_path, text, message):
    path = tmp_path / 'table.json'
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        load_table(path)
    assert str(path) in str(caught.value)
    assert '\n' not in str(caught.value)
