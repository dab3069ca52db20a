# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
``view.launch.py`` and the configuration of RViz.

Where RViz is not installed, a program that prints its arguments is launched in its place: what
RViz makes of them is not tested here.
"""

import os
from pathlib import Path
import signal
import subprocess
import sys
import threading

import pytest
from tiny_models import write_tiny_nanodet
import yaml

ROOT = Path(__file__).resolve().parents[2]
LAUNCH = ROOT / 'launch' / 'view.launch.py'
CONFIG = ROOT / 'config' / 'view.rviz'
TIMEOUT_S = 60.0


@pytest.fixture
def launched():
    """Return a function that launches with arguments until all words were printed, or it ends."""
    def run(words: tuple[str, ...], *arguments: str, prefix: Path | None = None) -> str:
        paths = filter(None, [str(prefix or ''), os.environ['AMENT_PREFIX_PATH']])
        process = subprocess.Popen(
            ['ros2', 'launch', str(LAUNCH), *arguments], text=True, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, 'AMENT_PREFIX_PATH': os.pathsep.join(paths)},
            # a job in the background of a shell inherits that it ignores SIGINT
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
        timer = threading.Timer(TIMEOUT_S, process.kill)
        timer.start()
        printed = ''
        for line in process.stdout:
            printed += line
            if words and all(word in printed for word in words):
                process.send_signal(signal.SIGINT)
                break
        rest = process.communicate(timeout=TIMEOUT_S)[0]
        timer.cancel()
        assert all(word in printed for word in words), printed
        return printed + rest
    return run


@pytest.fixture
def rviz(tmp_path) -> Path:
    """Return a prefix with a package rviz2 whose program prints its arguments."""
    index = tmp_path / 'prefix/share/ament_index/resource_index/packages'
    program = tmp_path / 'prefix/lib/rviz2/rviz2'
    for folder in (index, program.parent):
        folder.mkdir(parents=True)
    (index / 'rviz2').touch()
    program.write_text(f'#!{sys.executable}\nimport sys\nprint("shown:", *sys.argv[1:])\n')
    program.chmod(0o755)
    return tmp_path / 'prefix'


def test_view_launch_starts_the_detector_and_rviz_on_the_topics_of_the_first_camera(
        launched, rviz, tmp_path):
    model = write_tiny_nanodet(tmp_path / 'model')
    printed = launched(
        ('detecting with', 'shown:'), f'model:={model}', 'namespace:=/drone',
        'cameras:=front,rear', 'markers:=/drone/objects', 'fixed_frame:=map', prefix=rviz)
    shown = next(line for line in printed.splitlines() if 'shown:' in line)
    for words in ('view.rviz -f map', '__ns:=/drone', '/annotated:=front/annotated',
                  '/markers:=/drone/objects'):
        assert words in shown
    assert '/drone/front/image' in printed


def test_view_launch_without_rviz_detects_and_says_what_to_install(launched, tmp_path):
    from ament_index_python.packages import get_packages_with_prefixes
    if 'rviz2' in get_packages_with_prefixes():
        pytest.skip('RViz is installed here')
    model = write_tiny_nanodet(tmp_path / 'model')
    printed = launched(('detecting with', 'rviz2 is not installed'), f'model:={model}')
    assert f'sudo apt install ros-{os.environ["ROS_DISTRO"]}-rviz2' in printed
    assert 'Traceback' not in printed


def test_view_launch_refuses_a_configuration_that_is_not_there(launched, rviz, tmp_path):
    printed = launched((), 'rviz_config:=absent.rviz', prefix=rviz)
    assert 'rviz_config: absent.rviz: no such file' in printed
    assert 'Traceback' not in printed


def test_rviz_configuration_shows_the_topics_that_the_launch_file_remaps():
    view = yaml.safe_load(CONFIG.read_text())['Visualization Manager']
    kinds = {display['Class'].removeprefix('rviz_default_plugins/'): display
             for display in view['Displays']}
    assert set(kinds) == {'Image', 'MarkerArray', 'TF', 'Grid'}
    assert all(display['Enabled'] and display['Value'] for display in kinds.values())
    topics = {kind: display['Topic'] for kind, display in kinds.items() if 'Topic' in display}
    assert {kind: topic['Value'] for kind, topic in topics.items()} == {
        'Image': '/annotated', 'MarkerArray': '/markers'}
    for topic in topics.values():
        assert set(topic) == {'Depth', 'Durability Policy', 'History Policy',
                              'Reliability Policy', 'Value'}
