# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""``export``: export a checkpoint to a model folder, checked against torch."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

from lite_detector.backends.base import Backend, open_backend
from lite_detector.commands.options import check_writable, write_json
from lite_detector.core.config import from_mapping
from lite_detector.core.errors import ConfigError, DataError
from lite_detector.core.media import find_media, is_video, read_image
from lite_detector.core.model_card import (
    ModelCard,
    Name,
    NcnnFiles,
    NetworkCard,
    OnnxFiles,
    Runtimes,
    save_card,
)
from lite_detector.core.types import Detections, ImageArray
from lite_detector.data.coco import CocoDataset, CocoImage, find_images
from lite_detector.data.dataset import read_sized_image
from lite_detector.data.formats import open_as_coco
from lite_detector.data.pictures import spread_indices
from lite_detector.detector import Detector, with_resize
from lite_detector.evaluation.coco_metrics import AP_SELECTION, evaluate, measure
from lite_detector.export.model_folder import check_target, staged_folder, with_sha256
from lite_detector.export.parity import card_section, check, compare, Measure, Parity
from lite_detector.export.sample_images import sample_images
import msgspec
from tqdm import tqdm

MAX_IMAGES = 200
"""Maximum number of images to compare on, spread evenly over a larger set."""
LIBRARIES = ('pnnx', 'onnx', 'onnxruntime')
"""Libraries that export needs in addition to torch."""

Progress = Callable[[str, Sequence[Any]], Iterable[Any]]
"""Function that yields the items of one step, and may show the progress."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument('--checkpoint', required=True, type=Path, metavar='FILE',
                        help='checkpoint from `train` or `import_weights`')
    parser.add_argument('--output', required=True, type=Path, metavar='DIR',
                        help='model folder to write; an existing model folder is replaced')
    parser.add_argument('--images', type=Path, metavar='DIR',
                        help='images to compare the runtimes on (the selection set of the '
                             'training, else sample photographs)')
    parser.add_argument('--annotations', type=Path, metavar='PATH',
                        help='labels of --images in any format of check_data; the AP of the '
                             'runtimes is compared too')
    parser.add_argument('--fixed', action='store_true',
                        help='also write model.fixed.onnx for accelerator compilers: fixed input '
                             'size, fp32')
    parser.add_argument('--name', help='name of the model (name of the folder)')
    parser.add_argument('--json', type=Path, metavar='FILE', help='file for the figures')


def run(args: argparse.Namespace) -> None:
    """Export, compare and print the figures."""
    check_writable(args.json)
    check_target(args.output.resolve())
    parity = export_checkpoint(args.checkpoint, args.output, images=args.images,
                               annotations=args.annotations, name=args.name,
                               fixed=args.fixed, progress=_show_progress)
    sizes = {path.name: path.stat().st_size for path in sorted(args.output.iterdir())}
    print(parity_table(parity))
    print(f'{args.output}: ' + ', '.join(f'{name} {size / 1e6:.2f} MB'
                                         for name, size in sizes.items()))
    if args.json:
        write_json(args.json, {'folder': str(args.output), 'bytes': sizes,
                               'parity': msgspec.to_builtins(parity)})


def export_checkpoint(checkpoint_path: Path, folder: Path, *, images: Path | None = None,
                      annotations: Path | None = None, name: str | None = None,
                      fixed: bool = False, progress: Progress = lambda _, items: items) -> Parity:
    """
    Write the model folder of a checkpoint: ncnn, ONNX, and a card with the measured figures.

    The folder appears complete, after the outputs of the exported files match those of torch. If
    they differ, no folder is written.

    :param checkpoint_path: Checkpoint of a training.
    :param folder: Folder to write; absent, or a model folder to replace.
    :param images: Folder of images to compare on; None: the selection set of the training, if its
        images exist, else sample photographs.
    :param annotations: Labels of ``images``; the card contains the AP on them. None: the card
        contains the AP on the report set of the training.
    :param name: Name of the model; None: name of the folder.
    :param fixed: True: also write ``model.fixed.onnx`` for the input size of the card.
    :param progress: Function called with the name of a step and its items.
    :raises ModelError: if a runtime differs, or the file is not a checkpoint.
    :raises ConfigError: if the folder cannot be written.
    :raises ModuleNotFoundError: if a library is missing.
    """
    check_libraries()
    # imported here, because `--help` must work without torch
    from lite_detector.export.to_ncnn import write_ncnn
    from lite_detector.export.to_onnx import write_onnx
    from lite_detector.train.run.origin import describe_training
    from lite_detector.train.torch_backend import TorchBackend
    from lite_detector.train.weights.checkpoint import load_checkpoint

    name = from_mapping(name or folder.resolve().name, Name, 'name of the model, --name')
    checkpoint = load_checkpoint(checkpoint_path)
    network, model = checkpoint.card, checkpoint.model()
    training = describe_training(checkpoint.training)
    chosen = _parity_images(network, checkpoint.training, images, annotations)
    reference = Detector(network, TorchBackend(model), AP_SELECTION)
    reference.warm_up()
    outputs = [f'stride_{stride}' for stride in network.decode.strides]
    with staged_folder(folder) as staged:
        writers: dict[str, Callable[..., NcnnFiles | OnnxFiles]] = {
            'ncnn': write_ncnn, 'onnx': write_onnx}
        runtimes = {runtime: with_sha256(staged, writers[runtime](model, staged, network.size,
                                                                  outputs))
                    for runtime in progress('write', list(writers))}
        card = _card(network, name, runtimes, training)
        backends = {'ncnn': open_backend(card, staged, 'ncnn', 1, 'fp32'),
                    **_onnx_readers(cast(OnnxFiles, runtimes['onnx']), staged)}
        parity = compare(reference, backends,
                         (chosen.read(item) for item in progress('compare', chosen.items)),
                         chosen.measure)
        check(parity)
        if fixed:
            _write_fixed(model, staged, outputs, reference, chosen)
        save_card(staged, msgspec.structs.replace(
            card, parity=card_section(parity, chosen.source),
            metrics=(_reported(checkpoint.training) if annotations is None else {})
            or _metrics(Detector(card, backends['ncnn'], AP_SELECTION), chosen, progress)))
    return parity


def _write_fixed(model: Any, folder: Path, outputs: Sequence[str], reference: Detector,
                 chosen: ParityImages) -> None:
    """Write ONNX with a fixed input size; compare it with torch on images padded to squares."""
    from lite_detector.export.to_onnx import write_fixed_onnx
    files = write_fixed_onnx(model, folder, reference.card.size, outputs)
    square = Detector(with_resize(reference.card, 'letterbox_square'), reference.backend,
                      reference.selection)
    backends = _onnx_readers(files, folder)
    check(compare(square, {f'{files.file} in {name}': backend
                           for name, backend in backends.items()},
                  map(chosen.read, chosen.items), resized=False))


def _onnx_readers(files: OnnxFiles, folder: Path) -> dict[str, Backend]:
    """Open an ONNX file in each installed library that can run it."""
    from lite_detector.backends.onnx_backend import open_network
    readers: dict[str, Backend] = {
        'onnx': open_network(files, {'file': folder / files.file}, 1, 'fp32')}
    if find_spec('openvino'):
        from lite_detector.export.openvino_network import OpenVinoNetwork
        readers['openvino'] = OpenVinoNetwork(folder / files.file, files)
    return readers


def check_libraries() -> None:
    """
    Check before a long training that its result can be exported.

    :raises ModuleNotFoundError: if a library is missing; it contains the name.
    """
    for library in LIBRARIES:
        if find_spec(library) is None:
            raise ModuleNotFoundError(f'No module named {library}', name=library)


@dataclass(frozen=True)
class ParityImages:
    """
    Images to compare the runtimes on.

    :param source: Origin of the images, for the card.
    :param items: Arguments for ``read``, one per image.
    :param read: Function that returns an image, shape (h, w, 3), uint8 BGR.
    :param measure: Function that returns the AP; None: the images have no labels.
    :param labelled: Labels of the full set and the folder of its images; None: no labels.
    """

    source: str
    items: Sequence[Any]
    read: Callable[[Any], ImageArray]
    measure: Measure | None = None
    labelled: tuple[CocoDataset, Path] | None = None


def _parity_images(network: NetworkCard, training: Mapping[str, Any], images: Path | None,
                   annotations: Path | None) -> ParityImages:
    if annotations is not None:
        if images is None:
            raise ConfigError('--annotations: no --images; expected the folder of the images')
        whole = open_as_coco(annotations, images, network.class_names)
        return _labelled(network, annotations.name, whole, images)
    if images is not None:
        if not images.is_dir():
            raise ConfigError(f'--images {images}: not found; expected a folder')
        paths = [path for path in find_media([images]) if not is_video(path)]
        return ParityImages(images.name, _some(paths), read_image)
    validation = _validation(network, training)
    if validation is not None:
        return validation
    source, samples = sample_images()
    return ParityImages(source, samples, lambda image: image)


def _validation(network: NetworkCard, training: Mapping[str, Any]) -> ParityImages | None:
    """Return the selection set of the training, if all of its images exist."""
    from lite_detector.train.config.training import DataSpec
    from lite_detector.train.data.sources import selection_set

    config = training.get('config')
    if not isinstance(config, Mapping):
        return None  # imported weights
    data = from_mapping(config.get('data', {}), DataSpec, 'training.config.data')
    try:
        select = selection_set(data)
        if select is None:
            return None
        whole = select.open_as_coco(network.class_names)
    except (ConfigError, DataError):
        return None
    return _labelled(network, select.annotations.name, whole, select.images)


def _labelled(network: NetworkCard, source: str, whole: CocoDataset,
              images: Path) -> ParityImages:
    paths = find_images(whole, images)
    taken = _some(whole.images)
    ids = {image.image_id for image in taken}
    coco = CocoDataset(tuple(taken), tuple(
        box for box in whole.annotations if box.image_id in ids), whole.categories)

    def read(image: CocoImage) -> ImageArray:
        return read_sized_image(paths[image.image_id], image.size)

    def measure_ap(found: Sequence[Detections]) -> float | None:
        by_image = {image.image_id: detections for image, detections
                    in zip(taken, found, strict=False)}
        return measure(coco, by_image, network.class_names).ap

    measure_ap([])  # a missing class or library raises its error now, before the long work
    return ParityImages(source, taken, read, measure_ap, (whole, images))


def _some(items: Sequence[Any]) -> list[Any]:
    return [items[index] for index in spread_indices(len(items), MAX_IMAGES)]


def _card(network: NetworkCard, name: str, runtimes: Mapping[str, Any],
          training: Mapping[str, Any]) -> ModelCard:
    data = {**msgspec.to_builtins(network), 'name': name, 'format': 1,
            'runtimes': msgspec.to_builtins(Runtimes(**runtimes)), 'training': dict(training)}
    return from_mapping(data, ModelCard, 'card')


def _reported(training: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures that training measured on its report set."""
    figures = training.get('report')
    return figures and {'runtime': 'torch', 'precision': 'fp32',
                        'score_threshold': AP_SELECTION.score_threshold, **figures} or {}


def _metrics(detector: Detector, chosen: ParityImages, progress: Progress) -> dict[str, Any]:
    """Return the AP of the exported files on all labelled images, in the form of a card."""
    if chosen.labelled is None:
        return {}
    metrics = msgspec.to_builtins(evaluate(detector, *chosen.labelled,
                                           lambda images: progress('measure', images)))
    metrics.pop('per_class')
    return {'annotations': chosen.source, 'runtime': 'ncnn', 'precision': 'fp32',
            'score_threshold': AP_SELECTION.score_threshold, **metrics}


def _show_progress(what: str, items: Sequence[Any]) -> Iterable[Any]:
    return tqdm(items, desc=what, disable=None)


def parity_table(parity: Parity) -> str:
    """Return the figures of the comparison as lines to print."""
    def row(name: str, difference: object, boxes: object, matched: object, ap: object) -> str:
        return f'  {name:8} {difference:>12} {boxes:>7} {matched:>10} {ap:>7}'

    lines = [f'{parity.images} images, largest output {parity.output_range}',
             row('', 'difference', 'boxes', 'matched %', 'AP'),
             row('torch', '', parity.boxes, '', _or_dash(parity.ap))]
    lines += [row(name, runtime.output_difference, runtime.boxes,
                  _or_dash(runtime.matched_percent), _or_dash(runtime.ap))
              for name, runtime in parity.runtimes.items()]
    if parity.boxes == 0:
        lines.append('  torch detects nothing in these images: only the outputs were compared')
    return '\n'.join(lines)


def _or_dash(value: float | None) -> str:
    return '-' if value is None else str(value)
