#!/usr/bin/env python3
# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0
"""
Make docs/images/demo.gif of what `make demo` wrote: the node's own annotated frames.

Usage: make demo && scripts/demo_gif.py [demo_output]    (needs Pillow)
"""

from pathlib import Path
import sys

from PIL import Image, ImageOps

OUTPUT = Path(__file__).resolve().parents[1] / 'docs' / 'images' / 'demo.gif'
PHOTOS = ('astronaut', 'chelsea', 'coffee')
"""Public domain (NASA) and CC0; see NOTICE."""
SIZE = (352, 264)
FRAME_MS = 200
MAX_BYTES = 1_000_000


def main() -> int:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else 'demo_output')
    paths = [path for path in sorted(folder.glob('*.jpg')) if path.stem.endswith(PHOTOS)]
    if not paths:
        print(f'error: {folder}: no annotated frames; run `make demo` first', file=sys.stderr)
        return 2
    frames = [Image.open(path).convert('RGB') for path in paths]
    for step in (2, 3, 4):  # fewer frames until the file is small enough
        kept = [ImageOps.pad(frame, SIZE).quantize(48, dither=Image.Dither.NONE)
                for frame in frames[::step]]
        kept[0].save(OUTPUT, save_all=True, append_images=kept[1:], loop=0, optimize=True,
                     duration=FRAME_MS * step)
        if OUTPUT.stat().st_size < MAX_BYTES:
            break
    print(f'{OUTPUT}: {len(kept)} frames, {OUTPUT.stat().st_size / 1000:.0f} kB')
    return 0


if __name__ == '__main__':
    sys.exit(main())
