#!/usr/bin/env python3
# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0
"""
Time the forward pass of models in ncnn, ONNX Runtime and OpenVINO, in turn in one process.

OpenVINO needs the ONNX Runtime of setup.sh in front of the other one:
PYTHONPATH=.bench/venv/onnxruntime-openvino:$PYTHONPATH scripts/runtimes.py models/coco_320
"""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
import time

from lite_detector.backends.base import open_backend
from lite_detector.core.draw import generated_image
from lite_detector.core.model_card import load_card
from lite_detector.core.types import ImageSize
from lite_detector.detector import Detector
import numpy as np

RUNTIMES = {'ncnn': ('ncnn', 'cpu'), 'onnx': ('onnx', 'cpu'), 'openvino': ('onnx', 'openvino')}
"""Column -> runtime and device."""
CAMERA = ImageSize(480, 640)
ROUNDS = 25


def main() -> None:
    """Print a row per model: medians of CPU ms, one thread, fp32."""
    parser = ArgumentParser(description='Time models in ncnn, ONNX Runtime and OpenVINO.')
    parser.add_argument('models', type=Path, nargs='+', metavar='DIR')
    args = parser.parse_args()
    print(f'| model | {" | ".join(RUNTIMES)} |', '|---' * (1 + len(RUNTIMES)) + '|', sep='\n')
    for folder in args.models:
        card = load_card(folder)
        networks = {name: open_backend(card, folder, runtime, 1, 'fp32', device)
                    for name, (runtime, device) in RUNTIMES.items()}
        detector = Detector(card, networks['ncnn'])
        image_bgr = generated_image(CAMERA)
        blob = detector.make_blob(image_bgr, detector.fit(image_bgr))
        times: dict[str, list[float]] = {name: [] for name in networks}
        for _ in range(ROUNDS):
            for name, network in networks.items():
                begin = time.process_time()
                network.infer(blob)
                times[name].append(time.process_time() - begin)
        row = ' | '.join(f'{1000 * np.median(each):.1f}' for each in times.values())
        print(f'| {folder.name} | {row} |', flush=True)


if __name__ == '__main__':
    main()
