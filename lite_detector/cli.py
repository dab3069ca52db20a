# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Command line of the package: a table of commands, each imported only when it is called.

Exit status: 0 for success; 1 if ``replay`` finds a difference; 2 with one line ``error: ...`` for
wrong usage or invalid input; 130 for Ctrl-C.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib import import_module
import io
import os
from pathlib import Path
import sys
from typing import Any, NoReturn

from lite_detector.core.errors import LiteDetectorError

COMMANDS = {
    'detect': 'detect objects in images, folders and video files',
    'evaluate': 'measure COCO AP of a model',
    'benchmark': 'measure the speed of a model on this board',
    'profile_latency': 'measure the latency of operators on this board, for search',
    'compare': 'compare AP and latency of several models and input sizes on this board',
    'label': 'label images with a model, as soft labels for training',
    'dataset_from_bag': 'extract a dataset from a recording: images and, on request, labels',
    'replay': 'regression-test a model on a recording',
    'fetch_model': 'download public weights into the user cache',
    'train': 'train or fine-tune a detector on labelled images',
    'check_data': 'list the faults of a dataset before training',
    'import_weights': 'convert public ncnn weights into a torch checkpoint',
    'search': 'search the best backbone for a latency budget on a board',
    'export': 'export a checkpoint to a model folder (ncnn and ONNX, checked against torch)',
    'quantize': 'add an int8 variant to a model folder, unless the AP loss is too large',
}
"""Commands with options; each is a module of ``lite_detector.commands``."""

TRAINING_LIBRARIES = ('torch', 'torchvision', 'accelerate', 'tensorboard', 'pnnx', 'onnx',
                      'onnxruntime')
"""Libraries that `make setup-train` installs; serving on a robot does not need them."""

SERVING_LIBRARIES = {'cv2': 'opencv-python-headless', 'msgspec': 'msgspec', 'ncnn': 'ncnn',
                     'numpy': 'numpy', 'tqdm': 'tqdm', 'yaml': 'PyYAML'}
"""Module -> name of its pip package."""

MODEL_OPTIONS = ('model', 'reference')
"""Options that take the path or the name of a model."""

NODES = {
    'detect_node': 'lite_detector.ros.node',
    'locate_node': 'lite_detector.ros.locate_node',
    'camera_replay': 'lite_detector.ros.camera_replay',
    'frame_saver': 'lite_detector.ros.frame_saver',
}
"""ROS nodes; they take ROS arguments (``--ros-args -p name:=value``) and nothing else."""


class Parser(argparse.ArgumentParser):
    """Parser that reports wrong usage in one line."""

    def error(self, message: str) -> NoReturn:
        """Print the error and exit with status 2."""
        self.exit(2, f'error: {message} (see `{self.prog} --help`)\n')


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run one command.

    :param argv: Command and its options; None: those of this process.
    :return: Exit status.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):  # the terminal may lack characters of file names
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors='backslashreplace')
    try:
        if argv and argv[0] in NODES:
            return _run_node(argv[0], argv[1:])
        args = _parse(argv)
        return args.run(args) or 0
    except LiteDetectorError as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        libraries, target = tuple(SERVING_LIBRARIES.values()), 'setup'
        if error.name in TRAINING_LIBRARIES:
            libraries, target = TRAINING_LIBRARIES, 'setup-train'
        elif error.name not in SERVING_LIBRARIES:
            raise
        print(f'error: {error.name}: not installed; in a checkout run `make {target}`, elsewhere '
              f'`python3 -m pip install {" ".join(libraries)}`', file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `... | head` closed the output; without this Python prints an error
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:  # full disk, no permission, a name too long: the user can fix these
        where = f'{error.filename}: ' if error.filename else ''
        print(f'error: {where}{error.strerror or error}', file=sys.stderr)
        return 2


def script() -> int:
    """Run the command that has the name of this executable (``ros2 run``)."""
    return main([Path(sys.argv[0]).name, *sys.argv[1:]])


def _parse(argv: list[str]) -> argparse.Namespace:
    commands = '\n'.join(f'  {name:16} {about}' for name, about in COMMANDS.items())
    usage = Parser(prog='lite_detector', description=f'commands:\n{commands}\n\nROS nodes: '
                   + ', '.join(NODES), formatter_class=argparse.RawDescriptionHelpFormatter)
    usage.add_argument('command', choices=[*COMMANDS, *NODES], metavar='command')
    name = usage.parse_args(argv[:1]).command
    module = import_module(f'lite_detector.commands.{name}')
    parser = Parser(prog=f'lite_detector {name}', description=COMMANDS[name])
    module.add_arguments(parser)
    parse = parser.parse_args
    if getattr(module, 'INTERMIXED', False):
        parse = parser.parse_intermixed_args
    args = parse(argv[1:])
    for option, value in vars(args).items():
        setattr(args, option, _with_home(value, option in MODEL_OPTIONS))
    args.run = module.run
    return args


def _with_home(value: Any, is_model: bool) -> Any:
    """Replace ~ in an option by the home directory, because not every shell expands it."""
    if isinstance(value, list):
        return [_with_home(each, is_model) for each in value]
    if isinstance(value, Path) or is_model and isinstance(value, str):
        # Path.expanduser raises an error if the home directory is unknown
        return type(value)(os.path.expanduser(value))
    return value


def _run_node(name: str, argv: list[str]) -> int:
    try:
        import rclpy  # noqa: F401
    except ImportError as error:
        raise LiteDetectorError(f'{name}: ROS 2 not found ({error}); source its setup.bash, or in '
                                'a checkout run `make setup` and `source scripts/env.sh`'
                                ) from None
    return import_module(NODES[name]).main(argv)
