#!/usr/bin/env python3
# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0
"""
Run the commands of README and guides as written, each page in a folder with sample data.

A comment before a block, such as `<!-- needs: camera -->`, names what the commands need. A block
runs if --have names it. `make` runs in this checkout. For `needs: node` a detector and a
locate node run on a video.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
import os
from pathlib import Path
import re
import shutil
import signal
import subprocess
import sys
from tempfile import TemporaryDirectory
import time

from sample_data import write_sample_data

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r'(?:<!-- needs: ([^>]+) -->\n)?```bash\n(.*?)```', re.DOTALL)
NODE = 'node'
NODES = (
    'ros2 run lite_detector camera_replay --ros-args -p source:=video.mp4 -p rate_hz:=5.0 '
    '-p loop:=true -r image:=/camera/image_raw',
    'ros2 launch lite_detector detect.launch.py image:=/camera/image_raw locate:=true '
    'range_from:=size tracking:=true',
)
READY = """timeout 120 bash -c 'until ros2 service list | grep -q /detector/set_parameters &&
    ros2 service list | grep -q /locate/set_parameters; do sleep 1; done'
timeout 60 ros2 topic echo --once /detections
"""
ENVIRONMENT = {**os.environ, 'OMP_NUM_THREADS': '1', 'ROS_DOMAIN_ID': str(60 + os.getpid() % 40)}
PRELUDE = f'make() {{ command make -C {ROOT} "$@"; }}\n'


def blocks_of(page: Path) -> Iterator[tuple[int, str, str]]:
    """Yield line, need (empty: nothing) and commands of each block of a page."""
    text = page.read_text(encoding='utf-8')
    for match in BLOCK.finditer(text):
        yield text[:match.start(2)].count('\n') + 1, match[1] or '', match[2]


def run_page(page: Path, data: Path, have: set[str], timeout_s: float) -> list[str]:
    """Run the blocks of a page in order and return the labels of those that failed."""
    failed = []
    with TemporaryDirectory(prefix='docs-') as folder:
        shutil.copytree(data, folder, dirs_exist_ok=True)
        for line, need, commands in blocks_of(page):
            label = f'{page.relative_to(ROOT)}:{line}'
            if need and need not in have:
                print(f'needs {need:24} {label}', flush=True)
                continue
            begin = time.monotonic()
            with running_nodes(folder) if need == NODE else nullcontext():
                output = run_block(commands, folder, timeout_s)
            state = 'ok' if output is None else 'FAILED'
            print(f'{state:6} {time.monotonic() - begin:6.1f} s {"":14} {label}', flush=True)
            if output is not None:
                print(output)
                failed.append(label)
    return failed


@contextmanager
def running_nodes(folder: str) -> Iterator[None]:
    """Run a detector on a video until the block is done."""
    nodes = [subprocess.Popen(['bash', '-c', f'exec {command}'], cwd=folder, env=ENVIRONMENT,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              start_new_session=True) for command in NODES]
    try:
        run_block(READY, folder, 180)
        yield
    finally:
        for node in nodes:
            os.killpg(node.pid, signal.SIGINT)
        for node in nodes:
            node.wait(timeout=60)


def run_block(commands: str, folder: str, timeout_s: float) -> str | None:
    """Run commands and return their output if they failed."""
    try:
        done = subprocess.run(
            ['bash', '-euo', 'pipefail', '-c', PRELUDE + commands], cwd=folder, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout_s,
            env=ENVIRONMENT)
    except subprocess.TimeoutExpired:
        return f'no end after {timeout_s} s'
    return done.stdout[-4000:] if done.returncode else None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument('pages', nargs='*', type=Path)
    parser.add_argument('--have', nargs='*', default=['network', NODE],
                        help='needs that this machine fulfils (network node)')
    parser.add_argument('--timeout', type=float, default=1800.0, help='seconds for each block')
    options = parser.parse_args()
    pages = options.pages or [ROOT / 'README.md', *sorted(ROOT.glob('docs/guides/*.md'))]
    with TemporaryDirectory(prefix='docs-data-') as data:
        write_sample_data(Path(data))
        failed = [label for page in pages for label in
                  run_page(page.resolve(), Path(data), set(options.have), options.timeout)]
    print(f'{len(failed)} blocks failed' if failed else 'all blocks ran')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
