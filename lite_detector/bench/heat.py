# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Temperature, clock frequency and throttling of a board, as far as it reports them.

Linux reports them in ``/sys``, a Raspberry Pi also with ``vcgencmd get_throttled``. Values that a
machine does not report are None; virtual machines often report none.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
import re
import shutil
import subprocess

import msgspec

CPU_ZONE = re.compile(r'cpu|pkg|soc|tj', re.IGNORECASE)
"""Pattern of thermal zones of the processor; others are for battery, radio or power supply."""
CPU_COOLING = re.compile(r'cpu|processor|hot-surface', re.IGNORECASE)
"""Pattern of cooling devices that throttle the processor; others are fans or throttle the GPU."""
PLAUSIBLE_C = (-45.0, 150.0)
"""Plausible temperatures in °C; inactive sensors report values outside."""
PI_REASONS = ('under-voltage', 'frequency capped', 'throttled', 'temperature limit')
"""Meaning of bits 0 to 3 of vcgencmd; bits from 16 on are for events since the start."""
VCGENCMD_S = 2.0


class Heat(msgspec.Struct, frozen=True):
    """State of a board at one moment."""

    temperature_c: float | None
    """Temperature of the hottest processor sensor in °C."""
    frequency_mhz: float | None
    """Clock frequency of the fastest core in MHz."""
    held_back: tuple[str, ...] | None
    """Reasons for throttling; empty: not throttled; None: not reported."""


class HeatWatch:
    """
    A reader of the board state.

    :param root: Folder that contains ``sys``.
    """

    def __init__(self, root: Path = Path('/')) -> None:
        self._thermal = root / 'sys' / 'class' / 'thermal'
        self._cpu = root / 'sys' / 'devices' / 'system' / 'cpu'
        self._hwmon = root / 'sys' / 'class' / 'hwmon'
        self._vcgencmd = shutil.which('vcgencmd')
        self._events = self._count_events()

    def read(self) -> Heat:
        """Return the present state."""
        return Heat(self._temperature_c(), self._frequency_mhz(), self._held_back())

    def _temperature_c(self) -> float | None:
        zones = {}
        for zone in sorted(self._thermal.glob('thermal_zone*')):
            millidegrees = _number(zone / 'temp')
            if (millidegrees is not None
                    and PLAUSIBLE_C[0] < millidegrees / 1000 < PLAUSIBLE_C[1]):
                zones[zone.name, _text(zone / 'type')] = millidegrees / 1000
        of_cpu = [degrees for (_, kind), degrees in zones.items() if CPU_ZONE.search(kind)]
        return max(of_cpu or zones.values(), default=None)

    def _frequency_mhz(self) -> float | None:
        khz = [_number(path) for path in self._cpu.glob('cpu[0-9]*/cpufreq/scaling_cur_freq')]
        return max((each / 1000 for each in khz if each), default=None)

    def _held_back(self) -> tuple[str, ...] | None:
        sources = [source for source in (self._pi(), self._cooling(), self._over_current())
                   if source is not None]
        if not sources:
            return None
        return tuple(dict.fromkeys(reason for source in sources for reason in source))

    def _pi(self) -> list[str] | None:
        if self._vcgencmd is None:
            return None
        try:
            answer = subprocess.run([self._vcgencmd, 'get_throttled'], capture_output=True,
                                    text=True, timeout=VCGENCMD_S).stdout
        except (OSError, subprocess.TimeoutExpired):
            return None
        match = re.fullmatch(r'throttled=(0x[0-9a-fA-F]+)', answer.strip())
        if match is None:  # no permission, or not a Raspberry Pi
            return None
        bits = int(match[1], 16)
        return [reason for bit, reason in enumerate(PI_REASONS) if bits >> bit & 1]

    def _cooling(self) -> list[str] | None:
        states = {}
        for device in sorted(self._thermal.glob('cooling_device*')):
            kind, state = _text(device / 'type'), _number(device / 'cur_state')
            if state is not None and CPU_COOLING.search(kind):
                states[device.name, kind] = state
        return [kind for (_, kind), state in states.items() if state > 0] if states else None

    def _over_current(self) -> list[str] | None:
        """Return the over-current counters of a Jetson that increased since the start."""
        if not self._events:
            return None
        return [name for name, count in self._count_events().items()
                if count > self._events.get(name, count)]

    def _count_events(self) -> dict[str, float]:
        counts = {}
        for path in sorted(self._hwmon.glob('hwmon*/oc*_event_cnt')):
            count = _number(path)
            if count is not None:
                counts[path.name.removesuffix('_event_cnt') + ' over-current'] = count
        return counts


def summary(heats: list[Heat]) -> str:
    """
    Return a one-line summary of board states.

    :param heats: States in chronological order.
    """
    parts = list(_ranges(heats))
    told = [heat.held_back for heat in heats if heat.held_back is not None]
    reasons = dict.fromkeys(reason for each in told for reason in each)
    for reason in reasons:
        share = sum(reason in each for each in told) / len(told)
        parts.append(f'{reason} for {share:.0%} of the time')
    if told and not reasons:
        parts.append('never throttled')
    return ', '.join(parts) or 'the board reports no temperature, frequency or throttling'


def _ranges(heats: list[Heat]) -> Iterator[str]:
    for values, unit in (([heat.temperature_c for heat in heats], '°C'),
                         ([heat.frequency_mhz for heat in heats], 'MHz')):
        known = [value for value in values if value is not None]
        if known:
            yield (f'{known[0]:.0f} to {known[-1]:.0f} {unit} '
                   f'({min(known):.0f} .. {max(known):.0f})')


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding='utf-8', errors='replace').strip()
    except OSError:  # some sensors cannot be read while they sleep
        return ''


def _number(path: Path) -> float | None:
    try:
        return float(_text(path))
    except ValueError:
        return None
