# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""``detect``: detect objects in images, folders and video files; write pictures and JSON."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
import sys
from typing import Any

from lite_detector.commands.options import (
    add_class_options,
    add_model_options,
    add_selection_options,
    add_view_options,
    check_writable,
    detector_from,
    make_folder,
    selection_from,
    view_from,
    write_json,
)
from lite_detector.core.draw import draw_detections
from lite_detector.core.errors import DataError, LiteDetectorError
from lite_detector.core.media import (
    find_media,
    is_video,
    read_image,
    VideoReader,
    VideoWriter,
    write_jpeg,
)
from lite_detector.core.types import Detections, ImageArray, size_of
from lite_detector.detector import Detector
from lite_detector.zoo import DEFAULT_MODEL
from tqdm import tqdm


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument('sources', nargs='+', type=Path, metavar='SOURCE',
                        help='image, folder or video file')
    add_model_options(parser, default=DEFAULT_MODEL)
    add_selection_options(parser)
    add_class_options(parser)
    add_view_options(parser)
    parser.add_argument('--output', type=Path, metavar='DIR',
                        help='folder for annotated images and videos')
    parser.add_argument('--json', type=Path, metavar='FILE', help='file for the detections')


def run(args: argparse.Namespace) -> None:
    """Detect in every source; report and skip a file that cannot be read."""
    check_writable(args.json)
    files = find_media(args.sources)
    detector = detector_from(args, selection_from(args), view_from(args))
    names = None
    if args.output:
        make_folder(args.output)
        names = _Names(args.output, files)
    records: list[dict[str, Any]] = []
    failed = 0
    with tqdm(files, unit='file', disable=None) as progress:
        for path in progress:
            try:
                found = _detect_file(path, detector, names)
                for record in found:
                    if args.json:
                        records.append(record)
                    progress.set_postfix_str(f'{path.name}: {len(record["detections"])} boxes')
                    if not is_video(path):
                        progress.write(_summary(record))
            except LiteDetectorError as error:
                failed += 1
                reason = str(error).removeprefix(f'{path}: ')
                progress.write(f'warning: skipped: {path}: {reason}', file=sys.stderr)
    if failed == len(files):
        raise DataError(f'SOURCE: 0 of {len(files)} files processed; the warnings give the '
                        'reasons')
    if args.json:
        write_json(args.json, records)
    if args.output:
        print(f'wrote annotated files to {args.output}')


def _detect_file(path: Path, detector: Detector,
                 names: _Names | None) -> Iterator[dict[str, Any]]:
    class_names = detector.card.class_names
    if not is_video(path):
        image = read_image(path)
        detections = detector.detect(image)
        if names:
            write_jpeg(names.path(path.stem, '.jpg'),
                       draw_detections(image, detections, class_names))
        yield _record(str(path), image, detections, detector)
        return
    with VideoReader(path) as video:
        target = names.path(path.stem, '.mp4') if names else None
        with VideoWriter(target, video.rate_hz) as annotated:
            frames = tqdm(video, total=video.frame_count or None, unit='frame', leave=False,
                          desc=path.name, disable=None)
            for index, image in enumerate(frames):
                detections = detector.detect(image)
                if target:
                    annotated.write(draw_detections(image, detections, class_names))
                yield _record(f'{path}#{index}', image, detections, detector)


def _record(file: str, image: ImageArray, detections: Detections,
            detector: Detector) -> dict[str, Any]:
    size = size_of(image)
    return {'file': file, 'width': size.width, 'height': size.height, 'detections': [
        {'class_id': int(class_id), 'class_name': detector.card.class_names[class_id],
         'score': round(float(score), 4), 'box_xyxy': [round(float(x), 2) for x in box]}
        for class_id, score, box in zip(detections.class_ids, detections.scores,
                                        detections.boxes_xyxy, strict=True)]}


def _summary(record: dict[str, Any]) -> str:
    found = ', '.join(f'{item["class_name"]} {item["score"]:.2f}'
                      for item in record['detections'])
    return f'{record["file"]}: {found or "nothing"}'


class _Names:
    """Unique output names: a.jpg and other/a.png get different ones, and no source is replaced."""

    def __init__(self, folder: Path, sources: Sequence[Path]) -> None:
        self._folder = folder.resolve()
        self._taken = {path.resolve() for path in sources}

    def path(self, stem: str, suffix: str) -> Path:
        path, number = self._folder / f'{stem}{suffix}', 2
        while path.resolve() in self._taken:
            path, number = self._folder / f'{stem}_{number}{suffix}', number + 1
        self._taken.add(path)
        return path
