# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""``quantize``: add an int8 variant to a model folder, unless the AP loss is too large."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
import math
from pathlib import Path
import shutil
from typing import Any

from lite_detector.backends.base import Backend
from lite_detector.bench.machine import describe_machine
from lite_detector.bench.speed import clock_for, interleave
from lite_detector.commands.options import (
    add_dataset_options,
    check_writable,
    findings_from,
    is_checkpoint,
    print_findings,
    write_json,
)
from lite_detector.core.agreement import output_error
from lite_detector.core.config import from_mapping
from lite_detector.core.errors import ConfigError, DataError, ModelError
from lite_detector.core.model_card import (
    checked_files,
    Int8Files,
    load_card,
    ModelCard,
    Name,
    OnnxFiles,
    OnnxInt8Files,
    path_inside,
    save_card,
)
from lite_detector.core.types import FloatArray
from lite_detector.data.coco import CocoDataset, CocoImage, find_images
from lite_detector.data.dataset import read_sized_image
from lite_detector.data.formats import open_as_coco
from lite_detector.data.pictures import require_matplotlib, save_figure, spread_indices
from lite_detector.detector import Detector
from lite_detector.evaluation.coco_metrics import AP_SELECTION, evaluate, measure
from lite_detector.export.int8_network import (
    calibration_table,
    read_table,
    TABLE_FILE,
    write_int8,
)
from lite_detector.export.model_folder import check_target, staged_folder, with_sha256
from lite_detector.export.quantize import choose, FloatNetwork, Int8Choice, take, write_text
from lite_detector.export.quantize_report import draw_layers, report, summary, Verdict
from lite_detector.zoo import find_model
import msgspec
from tqdm import tqdm

CALIBRATION_IMAGES = 128
HELD_OUT_IMAGES = 200
"""Maximum number of images that measure the AP loss while layers are chosen."""
ERROR_IMAGES = 16
"""Number of held-out images for the comparison of outputs."""
SECONDS = 2.0
"""Time for the speed comparison of fp32 and int8 in s."""
INT8_FILES = Int8Files('model.int8.param', 'model.int8.bin')
ONNX_FILES = OnnxInt8Files('model.int8.onnx', 'model.int8.signed.onnx')
ONNX_ERROR = 1.5
"""Maximum output error in ONNX Runtime, as a multiple of the error in ncnn."""
REPORT_FILE, PICTURE_FILE = 'quantize.md', 'quantize.png'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument('--model', required=True, help='name or folder of a model')
    add_dataset_options(parser)
    parser.add_argument('--output', required=True, type=Path, metavar='DIR',
                        help='model folder to write; an existing model folder is replaced')
    parser.add_argument('--max-loss', type=float, default=1.0, metavar='X',
                        help='maximum loss of AP in percentage points (1.0)')
    parser.add_argument('--val-annotations', type=Path, metavar='F',
                        help='labels to measure the AP loss on (images of --annotations that are '
                             'not used for calibration)')
    parser.add_argument('--val-images', type=Path, metavar='DIR',
                        help='folder of the images of --val-annotations')
    parser.add_argument('--table', type=Path, metavar='FILE',
                        help='calibration table from `quantize` or `ncnn2table` with the layers '
                             'and thresholds to use instead of a new calibration')
    parser.add_argument('--no-onnx', action='store_true',
                        help='write int8 for ncnn only, not for ONNX Runtime')
    parser.add_argument('--name', help='name of the model (name of the folder)')
    parser.add_argument('--json', type=Path, metavar='FILE', help='file for the figures')


def run(args: argparse.Namespace) -> None:
    """Calibrate, choose layers, measure; write the folder if the AP loss is small enough."""
    _check(args)
    name = from_mapping(args.name or args.output.resolve().name, Name,
                        'name of the model, --name')
    folder = find_model(args.model)
    card = load_card(folder)
    network = FloatNetwork(card, folder)
    thresholds = args.table and read_table(args.table, network.layers)
    labelled = _open(args, args.annotations, args.images, card)
    calibration, held_out = labelled.split()
    judged = held_out
    if args.val_annotations:
        judged = _open(args, args.val_annotations, args.val_images, card)
    for each in (held_out, judged):
        each.check(card)
    detector = Detector(card, network)
    blobs = list(held_out.some(ERROR_IMAGES).blobs(detector))
    if thresholds is None:
        choice = choose(network, calibration.blobs(detector), blobs,
                        lambda backend: held_out.ap(card, backend), args.max_loss, _show_progress)
    else:
        choice = take(network, thresholds, blobs, _show_progress)
    verdict = _judge(card, network, choice, judged, args.max_loss,
                     next(held_out.blobs(detector)))
    if args.json:
        write_json(args.json, {'verdict': msgspec.to_builtins(verdict),
                               **msgspec.to_builtins(choice)})
    if not verdict.good:
        print(summary(verdict, choice))
        raise ModelError(f'{card.name}: int8 loses {verdict.loss:.2f} AP; expected at most '
                         f'{args.max_loss:g} (--max-loss); no folder was written')
    source = {'annotations': labelled.name,
              'calibration_images': 0 if thresholds else len(calibration.dataset.images),
              'held_out_images': len(held_out.dataset.images)}
    _write(args.output, card, name, folder, network, choice, verdict, source,
           [] if args.no_onnx else blobs)
    print(summary(verdict, choice))
    print(f'wrote {args.output}; run it with precision int8')


def _open(args: argparse.Namespace, annotations: Path, images: Path, card: ModelCard) -> Labelled:
    findings = findings_from(args)
    dataset = open_as_coco(annotations, images, card.class_names, findings)
    print_findings(findings, annotations)
    return Labelled(annotations.name, dataset, images)


def _check(args: argparse.Namespace) -> None:
    check_writable(args.json)
    require_matplotlib()
    check_target(args.output.resolve())
    if is_checkpoint(args.model):
        raise ConfigError(f'--model: {args.model} is a checkpoint; expected a model folder; write '
                          'one with `lite_detector export`')
    if not 0 <= args.max_loss < math.inf:
        raise ConfigError(f'--max-loss: {args.max_loss:g}; expected 0 or more')
    if (args.val_annotations is None) != (args.val_images is None):
        raise ConfigError('--val-annotations, --val-images: one of them; expected both or none')


@dataclass(frozen=True)
class Labelled:
    """
    Labelled images of a dataset.

    :param name: Name of the annotations.
    :param dataset: Images and labels.
    :param folder: Folder of the images.
    """

    name: str
    dataset: CocoDataset
    folder: Path

    def split(self) -> tuple[Labelled, Labelled]:
        """
        Return the calibration images and the held-out images, both spread over the set.

        :raises DataError: if there are less than two images.
        """
        images = self.dataset.images
        if len(images) < 2:
            raise DataError(f'{self.name}: {len(images)} images; expected at least 2: one to '
                            'calibrate with and one to measure AP on')
        return (self._of(images[::2]).some(CALIBRATION_IMAGES),
                self._of(images[1::2]).some(HELD_OUT_IMAGES))

    def some(self, count: int) -> Labelled:
        """Return at most ``count`` of the images, evenly spaced."""
        images = self.dataset.images
        return self._of([images[index] for index in spread_indices(len(images), count)])

    def _of(self, images: Sequence[CocoImage]) -> Labelled:
        ids = {image.image_id for image in images}
        boxes = tuple(box for box in self.dataset.annotations if box.image_id in ids)
        return Labelled(self.name, CocoDataset(tuple(images), boxes, self.dataset.categories),
                        self.folder)

    def blobs(self, detector: Detector) -> Iterator[FloatArray]:
        """Yield the input blob of each image."""
        paths = find_images(self.dataset, self.folder)
        for image in self.dataset.images:
            image_bgr = read_sized_image(paths[image.image_id], image.size)
            yield detector.make_blob(image_bgr, detector.fit(image_bgr)).copy()

    def check(self, card: ModelCard) -> None:
        """
        Check before the long work that AP can be measured on these images.

        :raises DataError: if no object of a class of the model is labelled.
        """
        if measure(self.dataset, {}, card.class_names).ap is None:
            raise DataError(f'{self.name}: 0 labelled objects of a class of {card.name} in the '
                            'images that measure AP; expected at least one')

    def ap(self, card: ModelCard, backend: Backend) -> float:
        """Measure the AP of a backend in percent."""
        ap = evaluate(Detector(card, backend, AP_SELECTION), self.dataset, self.folder,
                      lambda images: _show_progress('measure', images)).ap
        assert ap is not None, 'check() guarantees labelled objects'
        return ap


def _judge(card: ModelCard, network: FloatNetwork, choice: Int8Choice, judged: Labelled,
           max_loss: float, blob: FloatArray) -> Verdict:
    in_int8 = network.open_int8(choice.thresholds)
    ap_fp32, ap_int8 = (judged.ap(card, backend) for backend in (network, in_int8))
    timings = interleave({'float': lambda: network.infer(blob),
                          'int8': lambda: in_int8.infer(blob)}, SECONDS, clock_for(1))
    bytes_int8 = len(write_int8(network.layers, choice.thresholds).weights)
    bytes_float = sum(len(stored.data) for stored in network.layers)
    return Verdict(judged.name, len(judged.dataset.images), ap_fp32, ap_int8,
                   round(ap_fp32 - ap_int8, 2), max_loss, bytes_float, bytes_int8,
                   round(bytes_int8 / bytes_float, 3),
                   round(timings['int8'].cpu_ratio(timings['float']), 3), describe_machine())


def _write(output: Path, card: ModelCard, name: str, folder: Path, network: FloatNetwork,
           choice: Int8Choice, verdict: Verdict, source: dict[str, Any],
           blobs: Sequence[FloatArray]) -> None:
    with staged_folder(output) as staged:
        runtimes = card.runtimes
        assert runtimes.ncnn is not None, 'FloatNetwork has read the ncnn files'
        for files in (runtimes.ncnn, runtimes.onnx):
            if files is None:
                continue
            names = files.files()
            if all(path_inside(folder, file_name).is_file() for file_name in names.values()):
                for role, path in checked_files(folder, files).items():
                    (staged / names[role]).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(path, staged / names[role])
        write_text(staged, INT8_FILES, write_int8(network.layers, choice.thresholds))
        ncnn = msgspec.structs.replace(runtimes.ncnn, int8=with_sha256(staged, INT8_FILES))
        onnx = _write_onnx(staged, runtimes.onnx, network, choice, blobs)
        quantization = {
            'precision': 'int8', 'thresholds': choice.method, 'data': source,
            'in_float': ['depthwise convolutions', *choice.in_float],
            'metrics': msgspec.to_builtins(verdict)}
        save_card(staged, msgspec.structs.replace(
            card, name=name, runtimes=msgspec.structs.replace(runtimes, ncnn=ncnn, onnx=onnx),
            quantization=quantization))
        (staged / TABLE_FILE).write_text(
            calibration_table(network.layers, choice.thresholds), encoding='ascii')
        (staged / REPORT_FILE).write_text(report(name, verdict, choice), encoding='utf-8')
        save_figure(staged / PICTURE_FILE, draw_layers(name, choice))
        Detector.from_folder(staged, precision='int8')  # check that the written folder loads


def _write_onnx(staged: Path, files: OnnxFiles | None, network: FloatNetwork, choice: Int8Choice,
                blobs: Sequence[FloatArray]) -> OnnxFiles | None:
    """
    Write int8 for ONNX Runtime too, if its output error is small; return the card section.

    :param staged: Folder that is being written.
    :param files: ONNX section of the card; None: the card has none.
    :param network: Float network.
    :param choice: Chosen layers and thresholds.
    :param blobs: Input blobs to compare outputs on; without any, int8 for ONNX is not written.
    """
    if not blobs or not files or not (staged / files.file).is_file() or not all(
            map(find_spec, ('onnx', 'onnxruntime'))):
        return files
    from lite_detector.backends.onnx_backend import open_network
    from lite_detector.export.qdq import write_qdq
    made = msgspec.structs.replace(files, int8=ONNX_FILES)
    path = staged / ONNX_FILES.file
    try:
        for role, file_name in ONNX_FILES.files().items():
            (staged / file_name).write_bytes(write_qdq(staged / files.file, network.layers,
                                                       choice.thresholds, role == 'signed'))
        in_onnx = open_network(made, {'file': path}, 1, 'int8')
        expected = [network.infer(blob) for blob in blobs]
        error = output_error(expected, map(in_onnx.infer, blobs))
        ncnn_error = output_error(expected, map(network.open_int8(choice.thresholds).infer, blobs))
        limit = ONNX_ERROR * ncnn_error + 0.1
        if error > limit:
            raise ModelError(f'{path.name}: output error {error:.1f} %; expected at most '
                             f'{limit:.1f} % (ncnn: {ncnn_error:.1f} %)')
    except ModelError as refused:
        print(f'no int8 for runtime onnx: {refused}')
        for file_name in ONNX_FILES.files().values():
            (staged / file_name).unlink(missing_ok=True)
        return files
    return msgspec.structs.replace(files, int8=with_sha256(staged, ONNX_FILES))


def _show_progress(what: str, items: Sequence[Any]) -> Iterable[Any]:
    return tqdm(items, desc=what, disable=None)
