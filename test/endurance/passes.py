# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""What a forward pass takes meanwhile: now and then one, in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
import subprocess
import sys
import tempfile
import time

from flight import environment, SIZE
from lite_detector import load_model
from lite_detector.core.draw import generated_image
import numpy as np

PERIOD_S = 0.25


@contextmanager
def forward_passes(model: str) -> Iterator[list[float]]:
    """
    Measure while the block runs.

    :return: seconds, filled in when the block is left.
    """
    passes_s: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / 'passes'
        with file.open('w') as output:
            process = subprocess.Popen([sys.executable, __file__, model], stdout=output,
                                       env=environment())
        try:
            while process.poll() is None and not file.stat().st_size:
                time.sleep(0.1)
            yield passes_s
        finally:
            process.kill()
            process.wait()
            passes_s += [float(line) for line in file.read_text().splitlines() if '.' in line]


def main() -> None:
    """Print the seconds of a pass, again and again."""
    detector, image_bgr = load_model(sys.argv[1]), generated_image(SIZE)
    blob = np.array(detector.make_blob(image_bgr, detector.fit(image_bgr)))
    while True:
        begin_s = time.perf_counter()
        detector.backend.infer(blob)
        print(f'{time.perf_counter() - begin_s:.6f}', flush=True)
        time.sleep(PERIOD_S)


if __name__ == '__main__':
    main()
