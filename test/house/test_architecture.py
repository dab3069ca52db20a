# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The rules of the house: who may import whom, and how large a room may grow."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
import re
import sys

import lite_detector
import pytest

PACKAGE = Path(lite_detector.__file__).resolve().parent
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
# A room is a folder or a file of the package; it may import itself and what stands here.
MAY_IMPORT = {
    '__init__': {'core', 'detector', 'zoo'},
    '__main__': {'cli'},
    'core': set(),
    'backends': {'core'},
    'download': {'core'},
    'zoo': {'core', 'backends', 'download'},
    'detector': {'core', 'backends'},
    'data': {'core'},
    'search': {'core'},
    'ros': {'core', 'detector', 'zoo'},
    'evaluation': {'core', 'detector', 'zoo', 'data'},
    'labelling': {'core', 'detector', 'data'},
    'bench': {'core', 'backends', 'detector', 'zoo', 'search'},
    'train': {'core', 'data', 'detector', 'evaluation', 'backends.base'},
    'export': {'core', 'backends', 'detector', 'data', 'train.models'},
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
    'torch': r'train/.*|export/to_\w+\.py',
    'torchvision': r'train/.*|export/to_\w+\.py',
}
BANNED_NAMES = {'utils', 'util', 'common', 'helpers', 'helper', 'misc'}

FILES = sorted(PACKAGE.rglob('*.py'))
EVERY_FILE = pytest.mark.parametrize(
    'path', FILES, ids=[str(path.relative_to(PACKAGE)) for path in FILES])


def module_of(path: Path) -> str:
    """Return the dotted name of a file inside the package: core/nms.py -> core.nms."""
    parts = path.relative_to(PACKAGE).with_suffix('').parts
    return '.'.join(parts[:-1] if parts[-1] == '__init__' and len(parts) > 1 else parts)


MODULES = {module_of(path): path for path in FILES}


def imported(path: Path) -> Iterator[str]:
    """Return the dotted names that a file imports, also lazily or by ``import_module``."""
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
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


def test_every_room_has_rules():
    rooms = {module.split('.')[0] for module in MODULES}
    assert rooms <= set(MAY_IMPORT) | set(REACH_EVERYTHING)


@EVERY_FILE
def test_file_imports_only_rooms_that_it_may(path):
    room = module_of(path).split('.')[0]
    if room in REACH_EVERYTHING:
        return
    allowed = MAY_IMPORT[room] | {room}
    assert not [name for name in own_imports(path) if not lies_in(name, allowed)]


@EVERY_FILE
def test_file_imports_libraries_only_where_they_belong(path):
    place = str(path.relative_to(PACKAGE))
    found = libraries(path)
    assert not [name for name in found & set(ONLY_IN) if not re.fullmatch(ONLY_IN[name], place)]
    # the command line asks for rclpy to say how to get it
    if not place.startswith('ros/') and place != 'cli.py':
        assert not [name for name in found if ROS_LIBRARIES.fullmatch(name)]
    if place.startswith('core/'):
        assert found <= CORE_LIBRARIES | ({'PIL'} if path.name == 'lettering.py' else set())


def test_modules_import_each_other_without_cycles():
    graph = {module: own_imports(path) for module, path in MODULES.items()}
    try:
        order = list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f'cycle: {" -> ".join(error.args[1])}')
    assert order.index('core.types') < order.index('detector') < order.index('__init__')


@EVERY_FILE
def test_file_and_functions_are_short_enough_to_read(path):
    source = path.read_text(encoding='utf-8')
    assert len(source.splitlines()) <= MAX_FILE_LINES
    functions = [node for node in ast.walk(ast.parse(source))
                 if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    assert not [node.name for node in functions
                if node.end_lineno - node.lineno + 1 > MAX_FUNCTION_LINES]


@EVERY_FILE
def test_file_is_named_for_what_is_in_it(path):
    assert path.stem not in BANNED_NAMES
