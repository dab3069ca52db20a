# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
The command line: one table of commands, each imported only when it is called.

Exit status 0; 1 where ``replay`` finds a difference; 2 with one line ``error: ...`` for wrong
usage or bad input; 130 for Ctrl-C.
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
    'detect': 'find objects in images, folders and video files',
    'evaluate': 'measure COCO AP of a model',
    'benchmark': 'measure the speed of a model on this board',
    'profile_latency': 'measure operators on this board, to predict networks by',
    'compare': 'draw AP against time of several models and input sizes on this board',
    'label': 'let a model label images, to train on what it believes',
    'dataset_from_bag': 'make a dataset of a recording: images, and labels if there are any',
    'replay': 'hold every frame of a recording against a stored baseline',
    'fetch_model': 'download public weights into the user cache',
    'train': 'train or fine-tune a detector on labelled images',
    'check_data': 'say what is wrong with a dataset before training',
    'import_weights': 'make a torch checkpoint of public ncnn weights',
    'search': 'find the backbone that makes the most of the milliseconds of a board',
    'export': 'make a model folder of a checkpoint: ncnn, ONNX, compared with torch',
    'quantize': 'make a model folder with an int8 form, refused if it loses too much',
}
"""Commands with options; each is a file of ``lite_detector.commands``."""

TRAINING_LIBRARIES = ('torch', 'torchvision', 'accelerate', 'tensorboard', 'pnnx', 'onnx',
                      'onnxruntime')
"""What `make setup-train` installs and a robot does without."""

SERVING_LIBRARIES = {'cv2': 'opencv-python-headless', 'msgspec': 'msgspec', 'ncnn': 'ncnn',
                     'numpy': 'numpy', 'tqdm': 'tqdm', 'yaml': 'PyYAML'}
"""Module -> what pip calls it."""

MODEL_OPTIONS = ('model', 'reference')
"""Options that are a path or a name."""

NODES = {
    'detect_node': 'lite_detector.ros.node',
    'locate_node': 'lite_detector.ros.locate_node',
    'camera_replay': 'lite_detector.ros.camera_replay',
    'frame_saver': 'lite_detector.ros.frame_saver',
}
"""ROS nodes; they take ROS arguments (``--ros-args -p name:=value``) and nothing else."""


class Parser(argparse.ArgumentParser):
    """Answers wrong usage with one line."""

    def error(self, message: str) -> NoReturn:
        """Exit with status 2."""
        self.exit(2, f'error: {message} (see `{self.prog} --help`)\n')


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run one command.

    :param argv: command and its options; the process's own by default.
    :return: exit status.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):  # file names may hold what the terminal cannot show
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
        print(f'error: this needs {error.name}; in a checkout run `make {target}`, elsewhere '
              f'`python3 -m pip install {" ".join(libraries)}`', file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `... | head` closed our output; Python would complain once more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:  # full disk, no permission, a name too long: the user's to mend
        where = f'{error.filename}: ' if error.filename else ''
        print(f'error: {where}{error.strerror or error}', file=sys.stderr)
        return 2


def script() -> int:
    """Run the command whose name this program was started under (``ros2 run``)."""
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
    """Return an option with the home directory in place of ~, which not every shell expands."""
    if isinstance(value, list):
        return [_with_home(each, is_model) for each in value]
    if isinstance(value, Path) or is_model and isinstance(value, str):
        # not Path.expanduser, which raises where there is no home
        return type(value)(os.path.expanduser(value))
    return value


def _run_node(name: str, argv: list[str]) -> int:
    try:
        import rclpy  # noqa: F401
    except ImportError as error:
        raise LiteDetectorError(f'{name} needs ROS 2 ({error}); source its setup.bash, or in a '
                                'checkout run `make setup` and `source scripts/env.sh`') from None
    return import_module(NODES[name]).main(argv)
