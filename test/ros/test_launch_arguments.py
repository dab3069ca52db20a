# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""``detect.launch.py`` below a launch file with arguments of the same names, and what it sets."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
import re

from launch import LaunchContext, LaunchDescription, LaunchService
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteLocal,
    GroupAction,
    IncludeLaunchDescription,
    OpaqueFunction,
)
from launch.launch_description_sources import AnyLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import PushRosNamespace
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
LAUNCH = ROOT / 'launch' / 'detect.launch.py'
PARENTS_OWN = {'model': 'robot.urdf', 'params_file': '/nav2/params.yaml', 'autostart': 'false',
               'mask': 'laser.png', 'log_level': 'debug', 'namespace': 'robot', 'tiles': 'osm',
               'respawn': 'true', 'use_sim_time': 'true', 'large_images': 'false'}


@pytest.fixture
def started(monkeypatch):
    """Return the nodes that launch files would start, for they are asked for and not started."""
    nodes = []

    def note(process, context):
        process.prepare(context)
        nodes.append(process)
    monkeypatch.setattr(ExecuteLocal, 'execute', note)
    return nodes


def run(*actions) -> None:
    service = LaunchService(noninteractive=True)
    service.include_launch_description(LaunchDescription(list(actions)))
    assert service.run() == 0  # asyncio.run would close the event loop of the launch tests


def include(**arguments: str) -> IncludeLaunchDescription:
    return IncludeLaunchDescription(AnyLaunchDescriptionSource(str(LAUNCH)),
                                    launch_arguments=arguments.items())


def command_line(node: ExecuteLocal) -> str:
    return ' '.join(node.process_description.final_cmd)


def overrides_of(node: ExecuteLocal) -> dict:
    """Return the parameters beside the parameter file, from the file that launch writes."""
    files = re.findall(r'--params-file (\S+)', command_line(node))
    values = [yaml.safe_load(Path(file).read_text()) for file in files]
    return {key: value for each in values[1:] for group in each.values()
            for key, value in group['ros__parameters'].items()}


def declared() -> list[DeclareLaunchArgument]:
    return [DeclareLaunchArgument(name, default_value=value)
            for name, value in PARENTS_OWN.items()]


def test_include_keeps_its_defaults_below_a_parent_with_the_same_names(started):
    run(*declared(), include(image='/camera/image_raw', score_threshold='0.5'))
    node, = started
    assert overrides_of(node) == {'score_threshold': 0.5, 'use_sim_time': True}
    words = command_line(node)
    assert 'config/detect.yaml' in words and 'image:=/camera/image_raw' in words
    assert 'robot' not in words and '--log-level detector:=info' in words


def test_include_leaves_the_arguments_of_its_parent_alone(started):
    seen = {}

    def look(context: LaunchContext) -> None:
        seen.update(context.launch_configurations)
    run(*declared(), include(image='/a'), OpaqueFunction(function=look))
    assert {name: seen[name] for name in PARENTS_OWN} == PARENTS_OWN
    assert set(seen) - set(PARENTS_OWN) <= {'image'}


def test_include_is_told_the_values_of_its_parent_where_they_are_given(started):
    run(*declared(), GroupAction([PushRosNamespace('drone'), include(
        mask=LaunchConfiguration('mask'), model=LaunchConfiguration('model'))]), include())
    first, second = started
    assert overrides_of(first) == {'mask': 'laser.png', 'model': 'robot.urdf',
                                   'use_sim_time': True}
    assert '__ns:=/drone' in command_line(first)
    assert overrides_of(second) == {'use_sim_time': True}, 'nothing is left of the first one'


def test_include_in_docs_works_as_it_stands(started, tmp_path):
    code = re.search(r'```python\n(.*?)```', (ROOT / 'docs/guides/camera.md').read_text(), re.S)[1]
    path = tmp_path / 'bringup.launch.py'
    path.write_text(code)
    run(*declared(), IncludeLaunchDescription(AnyLaunchDescriptionSource(str(path))))
    node, = started
    assert 'use_sim_time' in overrides_of(node) and 'model' not in overrides_of(node)
    assert 'image:=/camera/image_raw' in command_line(node)


def test_xml_parent_includes_it_too(started, tmp_path):
    path = tmp_path / 'bringup.launch.xml'
    path.write_text(f'<launch><arg name="model" default="robot.urdf"/><include file="{LAUNCH}">'
                    '<arg name="image" value="/front"/></include></launch>')
    run(IncludeLaunchDescription(AnyLaunchDescriptionSource(str(path))))
    node, = started
    assert overrides_of(node) == {} and 'image:=/front' in command_line(node)


def test_launch_file_without_a_parent_takes_what_the_context_has(started):
    spec = spec_from_file_location('detect_launch', LAUNCH)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    run(DeclareLaunchArgument('tiles', default_value='2x2'),
        *module.generate_launch_description().entities)
    node, = started
    assert overrides_of(node) == {'tiles': '2x2'}


PROFILES = {'FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE'}


@pytest.mark.parametrize('environment, arguments, is_set', (
    ({}, {}, True),
    ({'RMW_IMPLEMENTATION': 'rmw_fastrtps_dynamic_cpp'}, {}, True),
    ({}, {'large_images': 'false'}, False),
    ({'RMW_IMPLEMENTATION': 'rmw_cyclonedds_cpp'}, {}, False),
    ({'FASTRTPS_DEFAULT_PROFILES_FILE': '/mine.xml'}, {}, False),
    ({'FASTDDS_DEFAULT_PROFILES_FILE': '/mine.xml'}, {}, False),
    ({'FASTDDS_BUILTIN_TRANSPORTS': 'UDPv4'}, {}, False),
    ({'ROS_LOCALHOST_ONLY': '1'}, {}, False),
))
def test_large_images_sets_a_profile_unless_the_user_has_one(started, monkeypatch, environment,
                                                             arguments, is_set):
    for name in ('RMW_IMPLEMENTATION', 'ROS_LOCALHOST_ONLY', 'FASTDDS_BUILTIN_TRANSPORTS',
                 *PROFILES):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    run(include(**arguments))
    node, = started
    final = node.process_description.final_env
    for name in PROFILES:
        if is_set:
            assert Path(final[name]).read_text().startswith('<?xml')
        else:
            assert final.get(name) == environment.get(name)
