#!/usr/bin/env python3
# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0
"""
Run the commands of README and guides as written, each page in a folder with sample data.

A comment before a block, such as `<!-- needs: camera -->`, names what the commands need. A block
runs if --have names it. `make` runs in this checkout.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
import os
from pathlib import Path
import re
import shutil
import subprocess
import sys
from tempfile import TemporaryDirectory
import time

from sample_data import write_sample_data

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r'(?:<!-- needs: ([^>]+) -->\n)?```bash\n(.*?)```', re.DOTALL)
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
            output = run_block(commands, folder, timeout_s)
            state = 'ok' if output is None else 'FAILED'
            print(f'{state:6} {time.monotonic() - begin:6.1f} s {"":14} {label}', flush=True)
            if output is not None:
                print(output)
                failed.append(label)
    return failed


def run_block(commands: str, folder: str, timeout_s: float) -> str | None:
    """Run commands and return their output if they failed."""
    try:
        done = subprocess.run(
            ['bash', '-euo', 'pipefail', '-c', PRELUDE + commands], cwd=folder, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout_s,
            env={**os.environ, 'OMP_NUM_THREADS': '1'})
    except subprocess.TimeoutExpired:
        return f'not finished after {timeout_s} s'
    return done.stdout[-4000:] if done.returncode else None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument('pages', nargs='*', type=Path)
    parser.add_argument('--have', nargs='*', default=['network'],
                        help='requirements that this machine fulfils, e.g. network')
    parser.add_argument('--timeout', type=float, default=1800.0,
                        help='time limit of each block in s (1800)')
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
