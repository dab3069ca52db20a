# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Node that writes the annotated frames of a detector to disk and summarizes the detections."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
import json
import os
from pathlib import Path
from typing import Annotated, Any

from lite_detector.core.config import Spec
from lite_detector.core.errors import ConfigError, DataError, ImageError
from lite_detector.core.media import write_jpeg
from lite_detector.ros.conversions import image_msg_to_bgr
from lite_detector.ros.parameters import current_settings, declare_parameters, parameter_table
from lite_detector.ros.runner import run_node
from msgspec import Meta
from rclpy.node import Node
from sensor_msgs.msg import Image
from vision_msgs.msg import Detection2DArray

SUMMARY_FILE = 'summary.json'


class SaverSettings(Spec):
    """Parameters of the node."""

    output_dir: Annotated[str, Meta(
        description='Directory for the annotated frames.', min_length=1)] = 'annotated_frames'
    max_frames: Annotated[int, Meta(
        description='Maximum number of saved frames; later frames count only in the summary.',
        ge=0, le=1000000)] = 1000


PARAMETERS = parameter_table(SaverSettings)


class FrameSaver(Node):
    """Node ``frame_saver``; subscribes ``annotated`` and ``detections``."""

    def __init__(self) -> None:
        super().__init__('frame_saver')
        declare_parameters(self, PARAMETERS)
        self._settings = current_settings(self, SaverSettings, PARAMETERS)
        self._folder = Path(os.path.expanduser(self._settings.output_dir))
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f'output_dir {self._folder}: {error.strerror}') from None
        self._frames: dict[str, int] = defaultdict(int)
        self._found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        self._saved = 0
        self.create_subscription(Image, 'annotated', self._on_annotated, 10)
        self.create_subscription(Detection2DArray, 'detections', self._on_detections, 10)

    def _on_annotated(self, msg: Image) -> None:
        if self._saved >= self._settings.max_frames:
            return
        try:
            image_bgr = image_msg_to_bgr(msg)
        except ImageError as error:
            self.get_logger().error(f'{msg.header.frame_id}: {error}', throttle_duration_sec=5.0)
            return
        name = ''.join(char if char.isalnum() else '_' for char in msg.header.frame_id[:100])
        path = self._folder / f'{self._saved + 1:04d}_{name or "frame"}.jpg'
        try:
            write_jpeg(path, image_bgr)
        except DataError as error:
            self.get_logger().error(str(error), throttle_duration_sec=5.0)
            return
        self._saved += 1

    def _on_detections(self, msg: Detection2DArray) -> None:
        name = msg.header.frame_id
        self._frames[name] += 1
        best: dict[str, float] = {}
        for detection in msg.detections:
            for result in detection.results[:1]:  # the best one; other detectors may have none
                hypothesis = result.hypothesis
                best[hypothesis.class_id] = max(hypothesis.score, best.get(hypothesis.class_id, 0))
        for class_id, score in best.items():
            self._found[name][class_id].append(score)

    def report(self) -> None:
        """
        Print and write a summary by frame_id: share of frames and mean best score of each class.

        :raises DataError: if the summary cannot be written.
        """
        summary: dict[str, dict[str, Any]] = {}
        for name, frames in self._frames.items():
            classes = {class_id: {'share_of_frames': round(len(scores) / frames, 2),
                                  'mean_best_score': round(sum(scores) / len(scores), 2)}
                       for class_id, scores in self._found[name].items()}
            summary[name] = {'frames': frames, 'classes': dict(sorted(
                classes.items(), key=lambda item: -item[1]['share_of_frames']))}
        for name, entry in summary.items():
            found = ', '.join(f'{class_id} in {figures["share_of_frames"]:.0%} '
                              f'(score {figures["mean_best_score"]:.2f})'
                              for class_id, figures in entry['classes'].items())
            print(f'{name}: {entry["frames"]} frames: {found or "nothing"}', flush=True)
        print(f'wrote {self._saved} pictures to {self._folder.resolve()}', flush=True)
        path = self._folder / SUMMARY_FILE
        try:
            path.write_text(json.dumps(summary, indent=1) + '\n')
        except OSError as error:
            raise DataError(f'{path}: {error.strerror}') from None


def main(args: Sequence[str] | None = None) -> int:
    """Run the node until it is interrupted, then print the summary."""
    run_node(FrameSaver, args).report()
    return 0
