# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Cards and parameters with mistakes: each gives one clear line or a detector that works."""

from __future__ import annotations

from collections.abc import Iterator
import copy
import math
from pathlib import Path
import shutil
from typing import Any

from figures import at_least, Figure, none_of, told
from flight import CONFIG
from fuzz_messages import INPUT_SIZE, quiet_stderr, WatchedNode
from lite_detector.core.errors import ConfigError, LiteDetectorError
from lite_detector.core.model_card import CARD_FILE, load_card
from lite_detector.core.types import Detections
from lite_detector.detector import Detector
from lite_detector.ros.conversions import bgr_to_image_msg
from lite_detector.ros.runner import run_node
from lite_detector.ros.settings import PARAMETERS
from lite_detector.zoo import DEFAULT_MODEL, find_model
import numpy as np
import rclpy
from rclpy.parameter import Parameter
from rclpy.serialization import serialize_message
from std_msgs.msg import Header
import yaml

Random = np.random.Generator

PARAMETER_FILE = CONFIG / 'detect.yaml'
FUZZED = set(PARAMETERS) - {'autostart'}
"""Without autostart a node logs nothing, as intended."""

LARGEST_INPUT = 1024
"""A card may ask for 4096, which is sound and takes seconds and gigabytes."""
ODD_VALUES = (None, True, False, 0, 1, -1, 7, 32, 1e9, -1e9, 0.5, math.nan, math.inf, 10 ** 30,
              '', 'x', 'model.bin', '../model.bin', '/etc/passwd', 'a\0b', '\u00e9' * 300, [], {},
              [[]], [1, 2, 3], {'a': {'b': []}}, 'ncnn', 'yolof', '2026-01-01')
ODD_NAMES = ('', '.', '..', '/', 'x/../model.bin', 'a\0b', '\u00e9' * 300, 'card.yaml', 'loop')
ODD_PARAMETERS = (True, False, 0, 1, -1, 3, 32, 64, 2 ** 62, -2 ** 63, 0.5, 1.0, -0.0, 1e308,
                  math.nan, math.inf, '', 'x', ' ', 'a b', '/', '~', '~nobody_here', 'a' * 5000,
                  '/dev/null', '/proc/self/mem', '../..', '\u00e9', 'front', 'ncnn', 'onnx',
                  'bf16', 'compressed', '2x2', '8x8', '9x9', 'in_turn', 'person',
                  ['front', 'rear'], ['front', 'front'], ['a b'], ['a/b/', '/c'], ['', 'x'],
                  ['9', '{x}'],
                  ['person'], [0.0, 0.0, 1.0, 1.0], [0.5, 0.5], [math.nan] * 4,
                  [-1.0, 0.0, 9e9, 5.0], [0, 0, 50, 50], [1, 2, 3], [True, False])


def fuzz_cards(model: str, cards: int, seed: int, scratch: Path) -> Iterator[Figure]:
    """
    Load copies of a model folder whose card is corrupted in one to three places.

    :param cards: how many.
    """
    random = np.random.default_rng(seed)
    folder = scratch / 'corrupted'
    shutil.copytree(find_model(model), folder)
    (folder / 'loop').symlink_to('loop')
    text = (folder / CARD_FILE).read_text(encoding='utf-8')
    data = yaml.safe_load(text)
    picture = random.integers(0, 256, (90, 130, 3)).astype(np.uint8)
    works, crude, wrong = 0, [], []
    for _ in range(cards):
        if random.random() < 0.5:
            spoiled = spoil_data(random, data)
        else:
            spoiled = spoil_text(random, text.encode())
        (folder / CARD_FILE).write_bytes(spoiled)
        try:
            if max(load_card(folder).size) > LARGEST_INPUT:
                continue
            found = Detector.from_folder(folder).detect(picture)
            works += 1
            wrong += _wrong(found, 130, 90)
        except LiteDetectorError as error:
            if '\n' in str(error):
                crude.append(str(error))
        except Exception as error:  # which is what is looked for
            crude.append(f'{type(error).__name__}: {" ".join(str(error).split())}')
    yield told('cards: corrupted, of them with a working detector', f'{cards}, {works}')
    yield none_of('cards: errors that are not one clear line', crude)
    yield none_of('cards: wrong boxes', wrong)


def fuzz_parameter_files(model: str, files: int, seed: int, scratch: Path) -> Iterator[Figure]:
    """
    Start nodes with ``config/detect.yaml`` of which some bytes are corrupted.

    :param files: how many.
    """
    random = np.random.default_rng(seed)
    path = scratch / 'detect.yaml'
    text = PARAMETER_FILE.read_text(encoding='utf-8').replace(
        f'model: {DEFAULT_MODEL}', f'model: {find_model(model)}').encode()
    crude, active, refused = [], 0, 0
    with quiet_stderr():
        for _ in range(files):
            path.write_bytes(spoil_text(random, text))
            try:
                node = run_node(_started, ['--ros-args', '--params-file', str(path)],
                                finished=lambda node: True)
                active += node.is_active()
                crude += node.unclear_state()
            except ConfigError as error:
                refused += 1
                crude += [str(error)] if '\n' in str(error) else []
            except Exception as error:  # which is what is looked for
                crude.append(f'{type(error).__name__}: {error}')
    yield told('parameter files: corrupted, of them refused, with an active node',
               f'{files}, {refused}, {active}')
    yield none_of('parameter files: starts without a clear reason', crude)


def _started() -> WatchedNode:
    node = WatchedNode()
    node.autostart()
    return node


def fuzz_parameters(model: str, rounds: int, seed: int) -> Iterator[Figure]:
    """
    Start nodes with odd parameters, and set odd ones while a node detects.

    :param rounds: how many of each.
    """
    random = np.random.default_rng(seed)
    rclpy.init()
    try:
        with quiet_stderr():
            yield from _starts(model, rounds // 10, random)
            yield from _changes(model, rounds, random)
    finally:
        rclpy.shutdown()


def _starts(model: str, rounds: int, random: Random) -> Iterator[Figure]:
    crude, active = [], 0
    for _ in range(rounds):
        values = {'model': model, 'input_size': INPUT_SIZE, **_odd_values(random)}
        try:
            node = WatchedNode(**values)
            try:
                node.watch()
                active += node.is_active()
                crude += [f'{values}: {what}' for what in node.unclear_state()]
            finally:
                node.destroy_node()
        except Exception as error:
            crude.append(f'{values}: {type(error).__name__}: {error}')
    yield told('parameters: odd starts, of them active', f'{rounds}, {active}')
    yield none_of('parameters: starts without a clear reason', crude)


def _changes(model: str, rounds: int, random: Random) -> Iterator[Figure]:
    node = WatchedNode(model=model, input_size=INPUT_SIZE, score_threshold=0.02)
    node.watch()
    picture = random.integers(0, 256, (90, 130, 3)).astype(np.uint8)
    crude, accepted, usual = [], 0, {name: node.get_parameter(name).value for name in PARAMETERS}
    try:
        for turn in range(rounds):
            values = _odd_values(random)
            try:
                result = node.set_parameters_atomically(
                    [Parameter(name, value=value) for name, value in values.items()])
            except Exception as error:
                crude.append(f'{values}: {type(error).__name__}: {error}')
                continue
            accepted += result.successful
            if not result.successful and (not result.reason or '\n' in result.reason):
                crude.append(f'{values}: {result.reason!r}')
            header = Header(frame_id='lens')
            header.stamp.sec = turn + 1
            if not node.feed(0, [serialize_message(bgr_to_image_msg(picture, header))]):
                crude.append(f'{values}: no end')
            if result.successful:
                node.set_parameters([Parameter(name, value=usual[name]) for name in values])
        yield told('parameters: odd changes, of them accepted', f'{rounds}, {accepted}')
        yield none_of('parameters: changes without a clear reason', crude)
        yield at_least('parameters: frames published meanwhile', node.total('published'),
                       rounds * 9 // 10)
        yield none_of('parameters: wrong boxes', node.wrong)
    finally:
        node.destroy_node()


def spoil_data(random: Random, data: dict[str, Any]) -> bytes:
    """Return YAML of a card in which keys are gone, renamed, new, or have odd values."""
    data = copy.deepcopy(data)
    if random.random() < 0.1:
        files = data['runtimes']['ncnn']
        files[str(random.choice(('param', 'bin', 'input')))] = str(random.choice(ODD_NAMES))
        files.pop('sha256', None)
    for _ in range(int(random.integers(1, 4))):
        section: Any = data
        while True:
            keys = list(section) if isinstance(section, dict) else range(len(section))
            if not keys:
                break
            key = keys[random.integers(len(keys))]
            if isinstance(section[key], (dict, list)) and section[key] and random.random() < 0.8:
                section = section[key]
                continue
            _spoil_key(random, section, key)
            break
    return yaml.safe_dump(data, sort_keys=False).encode()


def _spoil_key(random: Random, section: Any, key: Any) -> None:
    odd = ODD_VALUES[random.integers(len(ODD_VALUES))]
    kind = random.random()
    if kind < 0.2:
        del section[key]
    elif kind < 0.3 and isinstance(section, dict):
        section[f'{key}_'] = section.pop(key)
    elif isinstance(section[key], (int, float)) and kind < 0.6:
        section[key] *= float(random.choice((-1, 0.5, 2, 10)))
    else:
        section[key] = odd


def spoil_text(random: Random, text: bytes) -> bytes:
    """Return bytes of which some are flipped, gone, doubled or new."""
    for _ in range(int(random.integers(1, 4))):
        first, last = sorted(random.integers(0, len(text) + 1, 2).tolist())
        last = min(last, first + int(random.integers(1, 40)))
        middle = (b'', text[first:last] * 2, random.bytes(last - first),
                  bytes(random.permutation(list(text[first:last])).astype(np.uint8)))
        text = text[:first] + middle[random.integers(len(middle))] + text[last:]
    return text


def _odd_values(random: Random) -> dict[str, Any]:
    values = {}
    for name in random.choice(sorted(FUZZED), int(random.integers(1, 4)), replace=False):
        kind = type(PARAMETERS[name].ros_default())
        alike = [value for value in ODD_PARAMETERS if isinstance(value, (kind, list))]
        pool = alike if alike and random.random() < 0.7 else ODD_PARAMETERS
        values[str(name)] = pool[random.integers(len(pool))]
    return values


def _wrong(found: Detections, width: int, height: int) -> list[str]:
    boxes = found.boxes_xyxy
    sound = (np.isfinite(boxes).all() and (boxes >= 0).all()
             and (boxes <= (width, height, width, height)).all()
             and (boxes[:, 2:] > boxes[:, :2]).all()
             and ((found.scores >= 0) & (found.scores <= 1)).all())
    return [] if sound else [str(found)[:200]]
