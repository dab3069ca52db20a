#!/usr/bin/env python3
# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0
"""
The ``ros2`` command of the relocatable ROS, whose wheel has neither the script nor `ros2 launch`.

setup.sh links it into the Python environment; an installed ROS brings its own.
"""

from argparse import ArgumentParser, SUPPRESS
from pathlib import Path
import sys

from ament_index_python.packages import get_package_share_directory, PackageNotFoundError
from launch import LaunchContext, LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import AnyLaunchDescriptionSource
import ros2cli.cli


def find_launch_file(names: list[str]) -> Path:
    """
    Find the launch file that `ros2 launch` was asked for.

    :param names: Path, or a package and the name of a launch file in its share folder.
    :raises ValueError: if the file does not exist, or there are several.
    """
    if len(names) == 1:
        path = Path(names[0])
        if not path.is_file():
            raise ValueError(f'{path}: not found; expected a launch file')
        return path
    package, file_name = names
    try:
        share = Path(get_package_share_directory(package))
    except PackageNotFoundError:
        raise ValueError(f'no package {package!r} in this environment') from None
    found = [path for path in share.rglob(file_name) if path.is_file()]
    if len(found) != 1:
        raise ValueError(f'package {package!r}: {len(found)} files {file_name!r}; expected one')
    return found[0]


def show_arguments(path: Path) -> None:
    """Print the arguments that a launch file declares, with description and default."""
    source = AnyLaunchDescriptionSource(str(path))
    declared = source.get_launch_description(LaunchContext()).get_launch_arguments()
    print('Arguments (pass arguments as <name>:=<value>):')
    for argument in declared:
        print(f'\n    {argument.name}: {argument.description}')
        if argument.default_value is not None:
            default = ' + '.join(part.describe() for part in argument.default_value)
            print(f'        (default: {default})')


def run_launch_file(path: Path, arguments: list[str]) -> int:
    """Run a launch file until it is done or interrupted, and return its exit status."""
    include = IncludeLaunchDescription(
        AnyLaunchDescriptionSource(str(path)),
        launch_arguments=[tuple(argument.split(':=', maxsplit=1)) for argument in arguments],
    )
    # In a terminal, the nodes receive Ctrl-C directly; otherwise the launch has to pass it on.
    service = LaunchService(argv=arguments, noninteractive=not sys.stdin.isatty())
    service.include_launch_description(LaunchDescription([include]))
    return service.run()


def launch(words: list[str]) -> int:
    """Run `ros2 launch`."""
    parser = ArgumentParser(
        prog='ros2 launch',
        description='Run a launch file.',
        usage='%(prog)s [-h] [-s] (PACKAGE FILE | PATH) [NAME:=VALUE ...]',
    )
    parser.add_argument('words', nargs='+', help=SUPPRESS)
    parser.add_argument('-s', '--show-args', action='store_true', help='show the launch arguments')
    options = parser.parse_args(words)
    names = [word for word in options.words if ':=' not in word]
    arguments = [word for word in options.words if ':=' in word]
    if len(names) not in (1, 2):
        parser.error('give a package and a launch file, or the path of one')
    try:
        path = find_launch_file(names)
    except ValueError as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    if options.show_args:
        show_arguments(path)
        return 0
    return run_launch_file(path, arguments)


if __name__ == '__main__':
    sys.exit(launch(sys.argv[2:]) if sys.argv[1:2] == ['launch'] else ros2cli.cli.main())
