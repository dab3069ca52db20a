# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""What a board tells of its state; every board here is a tree of files that looks like /sys."""

import os
from pathlib import Path

from lite_detector.bench.heat import Heat, HeatWatch, summary
import pytest

NOTHING = Heat(None, None, None)


@pytest.fixture(autouse=True)
def no_vcgencmd(monkeypatch, tmp_path):
    """Take the programs of the machine away."""
    (tmp_path / 'bin').mkdir()
    monkeypatch.setenv('PATH', str(tmp_path / 'bin'))


def put(root: Path, **files: object) -> None:
    """Write files; two underscores in a name stand for a slash."""
    for name, value in files.items():
        path = root / 'sys' / name.replace('__', '/')
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'{value}\n')


def zone(root: Path, number: int, kind: str, temp: object) -> None:
    put(root, **{f'class__thermal__thermal_zone{number}__type': kind,
                 f'class__thermal__thermal_zone{number}__temp': temp})


def cooling(root: Path, number: int, kind: str, state: object) -> None:
    put(root, **{f'class__thermal__cooling_device{number}__type': kind,
                 f'class__thermal__cooling_device{number}__cur_state': state})


def answer(folder: Path, text: str, status: int = 0) -> None:
    """Write a ``vcgencmd``."""
    path = folder / 'bin' / 'vcgencmd'
    path.write_text(f'#!/bin/sh\n[ "$1" = get_throttled ] || exit 9\n'
                    f'echo "{text}"\nexit {status}\n')
    path.chmod(0o755)


def test_machine_that_tells_nothing(tmp_path):
    assert HeatWatch(tmp_path).read() == NOTHING
    # folders without files, as in containers
    (tmp_path / 'sys' / 'class' / 'thermal' / 'thermal_zone0').mkdir(parents=True)
    (tmp_path / 'sys' / 'class' / 'thermal' / 'cooling_device0').mkdir()
    (tmp_path / 'sys' / 'devices' / 'system' / 'cpu' / 'cpu0' / 'cpufreq').mkdir(parents=True)
    assert HeatWatch(tmp_path).read() == NOTHING


def test_this_machine_can_be_read():
    heat = HeatWatch().read()
    assert heat.temperature_c is None or -45 < heat.temperature_c < 150
    assert heat.frequency_mhz is None or heat.frequency_mhz > 0


def test_temperature_is_that_of_the_hottest_processor_sensor(tmp_path):
    zone(tmp_path, 0, 'acpitz', 70000)
    assert HeatWatch(tmp_path).read().temperature_c == 70
    zone(tmp_path, 1, 'cpu-thermal', 48312)
    zone(tmp_path, 2, 'CPU-therm', 51500)
    zone(tmp_path, 10, 'PMIC-Die', 100000)  # on Jetson boards a constant
    assert HeatWatch(tmp_path).read() == Heat(51.5, None, None)


@pytest.mark.parametrize('temp', ['', 'garbage', '-274000', '255000', 'nan'])
def test_temperature_of_a_sensor_that_sleeps_is_passed_over(tmp_path, temp):
    zone(tmp_path, 0, 'cpu-thermal', temp)
    assert HeatWatch(tmp_path).read() == NOTHING
    zone(tmp_path, 1, 'cpu-thermal', -8500)  # a drone in winter
    assert HeatWatch(tmp_path).read().temperature_c == -8.5


def test_temperature_that_may_not_be_read_is_passed_over(tmp_path):
    zone(tmp_path, 0, 'cpu-thermal', 40000)
    (tmp_path / 'sys/class/thermal/thermal_zone0/temp').unlink()
    (tmp_path / 'sys/class/thermal/thermal_zone0/temp').mkdir()  # reading it is an OSError
    assert HeatWatch(tmp_path).read() == NOTHING


def test_frequency_is_that_of_the_fastest_core(tmp_path):
    put(tmp_path, devices__system__cpu__cpu0__cpufreq__scaling_cur_freq=600000,
        devices__system__cpu__cpu11__cpufreq__scaling_cur_freq=1800000,
        devices__system__cpu__cpu2__online=0)
    assert HeatWatch(tmp_path).read() == Heat(None, 1800, None)


def test_processor_slowed_by_cooling_is_held_back_and_a_fan_is_not(tmp_path):
    cooling(tmp_path, 0, 'pwm-fan', 3)
    assert HeatWatch(tmp_path).read() == NOTHING
    cooling(tmp_path, 1, 'cpufreq-cpu0', 0)
    cooling(tmp_path, 2, 'gpu-throttle-alert', 1)
    watch = HeatWatch(tmp_path)
    assert watch.read().held_back == ()
    cooling(tmp_path, 1, 'cpufreq-cpu0', 2)
    cooling(tmp_path, 3, 'cpu-throttle-alert', 1)
    cooling(tmp_path, 4, 'cpufreq-cpu0', 1)
    assert watch.read().held_back == ('cpufreq-cpu0', 'cpu-throttle-alert')


def test_jetson_counts_over_current_from_the_start_of_the_watch(tmp_path):
    put(tmp_path, class__hwmon__hwmon3__oc1_event_cnt=0, class__hwmon__hwmon3__oc3_event_cnt=27)
    watch = HeatWatch(tmp_path)
    assert watch.read().held_back == ()
    put(tmp_path, class__hwmon__hwmon3__oc3_event_cnt=28)
    assert watch.read().held_back == ('oc3 over-current',)


@pytest.mark.parametrize(('text', 'wanted'), [
    ('throttled=0x0', ()),
    ('throttled=0x50000', ()),  # it happened before
    ('throttled=0x50005', ('under-voltage', 'throttled')),
    ('throttled=0xe0008', ('temperature limit',)),
    ('throttled=0xF', ('under-voltage', 'frequency capped', 'throttled', 'temperature limit')),
    ('VCHI initialization failed', None),
    ('', None),
])
def test_raspberry_pi_answers_by_vcgencmd(tmp_path, text, wanted):
    answer(tmp_path, text)
    assert HeatWatch(tmp_path).read() == Heat(None, None, wanted)


def test_vcgencmd_that_cannot_be_started_tells_nothing(tmp_path):
    answer(tmp_path, '')
    (tmp_path / 'bin' / 'vcgencmd').write_text('#!/absent/interpreter\n')
    assert os.access(tmp_path / 'bin' / 'vcgencmd', os.X_OK)
    assert HeatWatch(tmp_path).read() == NOTHING


def test_several_sources_are_joined(tmp_path):
    answer(tmp_path, 'throttled=0x8')
    cooling(tmp_path, 0, 'thermal-cpufreq-0', 1)
    zone(tmp_path, 0, 'cpu-thermal', 81000)
    assert HeatWatch(tmp_path).read() == Heat(81, None, ('temperature limit',
                                                         'thermal-cpufreq-0'))


@pytest.mark.parametrize(('heats', 'wanted'), [
    ([], 'the board reports no temperature, frequency or throttling'),
    ([NOTHING], 'the board reports no temperature, frequency or throttling'),
    ([Heat(50.2, None, None), Heat(None, None, None), Heat(61, None, None)],
     '50 to 61 °C (50 .. 61)'),
    ([Heat(None, 1800, ()), Heat(None, 600, ())],
     '1800 to 600 MHz (600 .. 1800), never throttled'),
    ([Heat(80, 1800, ()), Heat(82, 1200, ('throttled',)), Heat(81, 1200, None),
      Heat(81, 1200, ('throttled', 'x')), Heat(81, 1500, ())],
     '80 to 81 °C (80 .. 82), 1800 to 1500 MHz (1200 .. 1800), throttled for 50% of the time, '
     'x for 25% of the time'),
])
def test_summary_says_what_happened(heats, wanted):
    assert summary(heats) == wanted
