# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The rules of the house: who may import whom, and how large a room may grow."""

import ast
from collections.abc import Collection, Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
import re
import sys

import lite_detector
import pytest

PACKAGE = Path(lite_detector.__file__).resolve().parent
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
# A room is a folder or a file of the package, or of `train`. It may import itself and what stands
# here; 'train' is what lies in that folder outside its rooms.
MAY_IMPORT = {
    '__init__': {'core', 'detector', 'zoo'},
    '__main__': {'cli'},
    'core': set(),
    'backends': {'core'},
    'download': {'core'},
    'zoo': {'core', 'download'},
    'detector': {'core', 'backends'},
    'data': {'core'},
    'search': {'core'},
    'scene': {'core'},
    'ros': {'core', 'scene', 'detector', 'zoo'},
    'evaluation': {'core', 'detector', 'data'},
    'labelling': {'core', 'detector', 'data'},
    'bench': {'core', 'backends', 'detector', 'search'},
    'train': {'core', 'data', 'detector', 'backends.base', 'train.weights'},
    'train.config': {'core', 'data.findings'},
    'train.torch_workarounds': set(),
    'train.data': {'core', 'data', 'train.config', 'train.torch_workarounds'},
    'train.models': {'core', 'train.config'},
    'train.weights': {'core', 'train.config', 'train.models'},
    'train.losses': {'core', 'train.config', 'train.data.truth', 'train.models'},
    'train.distill': {'core', 'train.config', 'train.data.truth', 'train.losses',
                      'train.models', 'train.weights'},
    'train.run': {'core', 'data', 'detector', 'evaluation', 'train'},
    'export': {'core', 'backends', 'detector', 'data', 'train.models', 'train.weights',
               'train.torch_workarounds'},
}
# `commands` is the table of the command line in several files: the two reach everything.
REACH_EVERYTHING = ('cli', 'commands')
CORE_LIBRARIES = {'numpy', 'cv2', 'msgspec', 'yaml'}
ROS_LIBRARIES = re.compile(r'rclpy|\w+_(msgs|srvs|interfaces)|cv_bridge|diagnostic_updater|'
                           r'ament_\w+|launch(_\w+)?|rosbag2_py|tf2_ros|message_filters')
# library -> the files, relative to the package, that may import it
ONLY_IN = {
    'ncnn': r'backends/(ncnn_backend|vulkan)\.py',
    'onnxruntime': r'backends/(onnx_backend|providers)\.py',
    'openvino': r'export/openvino_network\.py',
    'rosbags': r'data/bags\.py',
    'torch': r'train/(?!config/).*|export/to_\w+\.py',
    'torchvision': r'train/(?!config/).*|export/to_\w+\.py',
}
BANNED_NAMES = {'utils', 'util', 'common', 'helpers', 'helper', 'misc'}

FILES = sorted(PACKAGE.rglob('*.py'))


def path_in_package(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding='utf-8'))


def module_of(path: Path) -> str:
    """Return the dotted name of a file inside the package: core/nms.py -> core.nms."""
    parts = path.relative_to(PACKAGE).with_suffix('').parts
    return '.'.join(parts[:-1] if parts[-1] == '__init__' and len(parts) > 1 else parts)


MODULES = {module_of(path): path for path in FILES}


def imported(path: Path) -> Iterator[str]:
    """Return the dotted names that a file imports, also lazily or by ``import_module``."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, 'relative imports hide where a name comes from'
            for alias in node.names:
                name = f'{node.module}.{alias.name}'
                yield name if name.removeprefix('lite_detector.') in MODULES else node.module
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            if node.value.removeprefix('lite_detector.') in MODULES and '.' in node.value:
                yield node.value


def own_imports(path: Path) -> set[str]:
    """Return the modules of the package that a file imports."""
    names = {name.removeprefix('lite_detector').removeprefix('.') or '__init__'
             for name in imported(path) if re.match(r'lite_detector(\.|$)', name)}
    return names - {module_of(path)}


def libraries(path: Path) -> set[str]:
    """Return the top-level packages from elsewhere that a file imports."""
    names = {name.split('.')[0] for name in imported(path)}
    return names - set(sys.stdlib_module_names) - {'lite_detector'}


def lies_in(module: str, rooms: set[str]) -> bool:
    return any(module == room or module.startswith(f'{room}.') for room in rooms)


def room_of(module: str) -> str:
    """Return the room that a module lies in; empty if there is none."""
    rooms = (*MAY_IMPORT, *REACH_EVERYTHING)
    return max((room for room in rooms if lies_in(module, {room})), key=len, default='')


def may_import_library(path: Path, name: str) -> bool:
    place = path_in_package(path)
    if name in ONLY_IN and not re.fullmatch(ONLY_IN[name], place):
        return False
    # the command line asks for rclpy to say how to get it
    if ROS_LIBRARIES.fullmatch(name) and not place.startswith('ros/') and place != 'cli.py':
        return False
    if place.startswith(('core/', 'scene/')):
        return name in CORE_LIBRARIES or (name, path.name) == ('PIL', 'lettering.py')
    return True


def only_offenders(found: dict[str, Collection[str]]) -> dict[str, Collection[str]]:
    return {place: names for place, names in found.items() if names}


def test_every_room_has_rules():
    assert not [module for module in MODULES if not room_of(module)]


def test_rooms_import_each_other_without_cycles():
    graph = {room: {room_of(name) for name in names} - {room}
             for room, names in MAY_IMPORT.items() if room != '__main__'}
    TopologicalSorter(graph).prepare()


def test_files_import_only_rooms_that_they_may():
    offenders = {}
    for module, path in MODULES.items():
        room = room_of(module)
        if room not in REACH_EVERYTHING:
            offenders[module] = [name for name in own_imports(path) if room_of(name) != room
                                 and not lies_in(name, MAY_IMPORT[room])]
    assert not only_offenders(offenders)


def test_every_permission_is_used():
    unused = {room: {name for name in names if not any(
        lies_in(each, {name}) for module, path in MODULES.items() if room_of(module) == room
        for each in own_imports(path))} for room, names in MAY_IMPORT.items()}
    assert not only_offenders(unused)


def test_contributing_lists_the_same_permissions():
    def dotted(cell: str) -> list[str]:
        return [name.removesuffix('/*.py').removesuffix('.py').replace('/', '.')
                for name in re.findall('`([^`]+)`', cell)]

    text = (PACKAGE.parent / 'CONTRIBUTING.md').read_text(encoding='utf-8')
    rows = text.partition('| folder | may import |')[2].partition('\n\n')[0].splitlines()[2:]
    listed = {}
    for row in rows:
        rooms, names = row.strip('| ').split(' | ')
        listed.update(dict.fromkeys(dotted(rooms), names))
    expected = {room: names for room, names in MAY_IMPORT.items() if room[0] != '_'}
    assert set(listed) == {*expected, *REACH_EVERYTHING}
    for room, names in expected.items():
        found = set(dotted(listed[room]))
        assert found == names | {'train'} if 'all of `train`' in listed[room] else found == names


def test_files_import_libraries_only_where_they_belong():
    offenders = {path_in_package(path): {name for name in libraries(path)
                                         if not may_import_library(path, name)}
                 for path in FILES}
    assert not only_offenders(offenders)


def test_modules_import_each_other_without_cycles():
    graph = {module: own_imports(path) for module, path in MODULES.items()}
    try:
        order = list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f'cycle: {" -> ".join(error.args[1])}')
    assert order.index('core.types') < order.index('detector') < order.index('__init__')


def test_files_are_short_enough_to_read():
    lengths = {path_in_package(path): len(path.read_text(encoding='utf-8').splitlines())
               for path in FILES}
    assert not {place: lines for place, lines in lengths.items() if lines > MAX_FILE_LINES}


def test_functions_are_short_enough_to_read():
    lengths = {f'{path_in_package(path)}:{node.name}': node.end_lineno - node.lineno + 1
               for path in FILES for node in ast.walk(parsed(path))
               if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}
    assert lengths
    assert not {place: lines for place, lines in lengths.items() if lines > MAX_FUNCTION_LINES}


def test_files_are_named_for_what_is_in_them():
    assert not [path_in_package(path) for path in FILES if path.stem in BANNED_NAMES]


def test_class_names_are_used_once():
    places: dict[str, list[str]] = {}
    for path in FILES:
        for node in parsed(path).body:
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(path_in_package(path))
    assert not {name: found for name, found in places.items() if len(found) > 1}
