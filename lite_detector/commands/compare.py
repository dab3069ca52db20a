# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""``compare``: which model at which size is best on this board, for labelled images."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import asdict
import math
from pathlib import Path

import cv2
from lite_detector.backends.base import PRECISIONS
from lite_detector.bench.machine import describe_machine
from lite_detector.bench.speed import clock_for, interleave, single_threaded_opencv
from lite_detector.commands.options import (
    add_reading_options,
    check_writable,
    findings_from,
    image_size,
    picture_file,
    print_findings,
    RESIZES,
    write_json,
)
from lite_detector.core.errors import ConfigError
from lite_detector.core.media import read_image
from lite_detector.core.model_card import GRID, load_card, ModelCard
from lite_detector.core.types import ImageArray, ImageSize
from lite_detector.data.coco import CocoDataset, find_images
from lite_detector.data.formats import open_as_coco
from lite_detector.data.pictures import require_matplotlib, save_figure
from lite_detector.detector import Detector
from lite_detector.evaluation.bootstrap import DRAWS
from lite_detector.evaluation.coco_metrics import AP_SELECTION, require_faster_coco_eval
from lite_detector.evaluation.comparison import (
    ApOfDraws,
    FULL_PRECISION,
    labelled_images,
    LabelledImages,
    measure_ap,
    Measured,
    note_differences,
    open_detectors,
    pareto_front,
    Results,
    Setting,
    settings_of,
)
from lite_detector.evaluation.comparison_report import draw_comparison, markdown
from lite_detector.zoo import find_model, has_weights, list_models
import numpy as np
from tqdm import tqdm

SIDES = (256, 320, 352, 416)
CAMERA = ImageSize(480, 640)

Detectors = dict[Setting, Detector]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument('--models', nargs='+', metavar='M',
                        help='names or folders (all in reach that have weights)')
    parser.add_argument('--annotations', action='append', required=True, type=Path, metavar='F',
                        help='labels in any format of check_data; may be given several times')
    parser.add_argument('--images', action='append', required=True, type=Path, metavar='DIR',
                        help='folder of the images, once for each --annotations')
    add_reading_options(parser)
    parser.add_argument('--sizes', nargs='+', type=int, default=SIDES, metavar='N',
                        help=f'square network inputs ({" ".join(map(str, SIDES))})')
    parser.add_argument('--resizes', nargs='+', choices=RESIZES, default=(), metavar='R',
                        help="how images are fitted (both letterboxes, and the card's)")
    parser.add_argument('--precisions', nargs='+', choices=PRECISIONS, metavar='P',
                        default=('fp32', 'bf16'), help='(fp32 bf16)')
    parser.add_argument('--threads', type=int, default=1, help='threads per inference (1)')
    parser.add_argument('--reference', metavar='M', help='model that others are compared with, '
                        'as its card has it (the first)')
    parser.add_argument('--image', type=Path, metavar='FILE',
                        help='measure times on this image (the first one that is labelled)')
    parser.add_argument('--image-size', type=image_size, default=CAMERA, metavar='WxH',
                        help=f'scale it to this first, as large as your camera ({CAMERA})')
    parser.add_argument('--seconds', type=float, default=0.5, metavar='S',
                        help='time for each setting (0.5)')
    parser.add_argument('--draws', type=int, default=DRAWS, metavar='N',
                        help='bootstrap draws of images for the 95 %% interval of the AP '
                             f'difference to the reference; 0: none ({DRAWS})')
    parser.add_argument('--plot', type=picture_file, metavar='FILE',
                        help='draw AP against milliseconds')
    parser.add_argument('--markdown', type=Path, metavar='FILE', help='write tables')
    parser.add_argument('--json', type=Path, metavar='FILE', help='write the figures')


def run(args: argparse.Namespace) -> None:
    """Measure times in turn, then AP model by model; what is done is kept if it is cut short."""
    _check(args)
    folders = _folders(args.models)
    cards = {name: load_card(folder) for name, folder in folders.items()}
    labelled = _labelled(args, cards)
    detectors: Detectors = {}
    for name, folder in folders.items():
        sizes = fitting_sizes(cards[name], args.sizes)
        settings = settings_of(cards[name], sizes, args.resizes, args.precisions)
        detectors |= open_detectors(folder, settings, args.threads)
    reference = _reference(args.reference, cards, list(detectors))
    results = {setting: Measured() for setting in detectors}
    try:
        with single_threaded_opencv():
            _measure_times(results, detectors, reference, _image(args, labelled[0]), args)
            _measure_aps(results, detectors, labelled, reference, args)
    finally:
        _write(args, results, labelled, reference, cards)
    for each in labelled:
        print(f'{each.title}: no other setting is as fast and as good')
        for setting in pareto_front(results, each.title):
            found = results[setting]
            print(f'  {found.ms:7.1f} ms  AP {found.ap[each.title]:5.1f}  {setting}')
        _print_differences(results, each, reference)


def _print_differences(results: Results, images: LabelledImages, reference: Setting) -> None:
    different = {setting: found.difference[images.title] for setting, found in results.items()
                 if images.title in found.difference}
    if not different:
        return
    print(f'  AP minus that of {reference}, 95 % interval over images:')
    for setting, difference in different.items():
        print(f'  {difference!s:>24}  {setting}')


def _check(args: argparse.Namespace) -> None:
    check_writable(args.plot, args.markdown, args.json)
    require_faster_coco_eval()
    if args.plot:
        require_matplotlib()
    if not 0 < args.seconds < math.inf:
        raise ConfigError(f'--seconds: got {args.seconds:g}, wanted more than 0')
    if args.draws < 0:
        raise ConfigError(f'--draws: {args.draws}; expected 0 or more')
    if len(args.annotations) != len(args.images):
        raise ConfigError(f'--images: got {len(args.images)} folders for {len(args.annotations)} '
                          'annotations; wanted one for each')


def _folders(models: Sequence[str] | None) -> dict[str, Path]:
    if models is None:
        found = {folder for folder in list_models().values()
                 if has_weights(folder) and load_card(folder).runtimes.ncnn}
    else:
        found = {find_model(model) for model in models}
    folders: dict[str, Path] = {}
    for folder in sorted(found, key=lambda each: each.name):
        name = load_card(folder).name
        if name in folders:
            raise ConfigError(f'--models: {folders[name]} and {folder} are both named {name!r}; '
                              'change the name in one card')
        folders[name] = folder
    if not folders:
        raise ConfigError('--models: no model in reach has weights; get some with fetch_model')
    return folders


def fitting_sizes(card: ModelCard, sizes: Sequence[int]) -> Sequence[int]:
    """Leave out what only a network in coarser steps cannot take; what none can is an error."""
    left_out = [side for side in sizes if side % card.grid and side % GRID == 0]
    if len(left_out) == len(sizes):
        return sizes
    if left_out:
        print(f'{card.name}: not at {", ".join(map(str, left_out))}, which are no multiples of '
              f'{card.grid}')
    return [side for side in sizes if side not in left_out]


def _labelled(args: argparse.Namespace, cards: Mapping[str, ModelCard]) -> list[LabelledImages]:
    names = {model: card.class_names for model, card in cards.items()}
    found = [labelled_images('/'.join(annotations.absolute().parts[-2:]),
                             _open(args, annotations, images), images, names)
             for annotations, images in zip(args.annotations, args.images, strict=True)]
    if len({each.title for each in found}) < len(found):
        raise ConfigError(f'--annotations: the same twice: {found[0].title}')
    return found


def _open(args: argparse.Namespace, annotations: Path, images: Path) -> CocoDataset:
    findings = findings_from(args)
    dataset = open_as_coco(annotations, images, findings=findings)
    print_findings(findings, annotations)
    return dataset


def _reference(model: str | None, cards: Mapping[str, ModelCard],
               settings: Sequence[Setting]) -> Setting:
    name = model or next(iter(cards))
    if name not in cards:
        raise ConfigError(f'--reference: got {name!r}, wanted one of {", ".join(cards)}')
    card = cards[name]
    own = Setting(name, card.size.width, card.preprocess.resize, FULL_PRECISION)
    return own if own in settings else next(each for each in settings if each.model == name)


def _image(args: argparse.Namespace, labelled: LabelledImages) -> ImageArray:
    paths = find_images(labelled.dataset, labelled.folder)
    image_bgr = read_image(args.image or next(iter(paths.values())))
    return cv2.resize(image_bgr, (args.image_size.width, args.image_size.height),
                      interpolation=cv2.INTER_AREA)


def _measure_times(results: Results, detectors: Detectors, reference: Setting,
                   image_bgr: ImageArray, args: argparse.Namespace) -> None:
    seconds = args.seconds * len(detectors)
    with tqdm(total=seconds, desc='time', disable=None,
              bar_format='{desc} {bar} {n:.0f}/{total:.0f} s') as bar:
        timings = interleave({setting: lambda detector=detector: detector.detect(image_bgr)
                              for setting, detector in detectors.items()},
                             seconds, clock_for(args.threads), bar.update)
    for setting, found in results.items():
        timing = timings[setting]
        found.ms = round(float(np.median(timing.wall_ms)), 3)
        found.cpu_ms = round(float(np.median(timing.cpu_ms)), 3)
        found.ratio = round(timing.cpu_ratio(timings[reference]), 4)


def _measure_aps(results: Results, detectors: Detectors, labelled: Sequence[LabelledImages],
                 reference: Setting, args: argparse.Namespace) -> None:
    tasks = [(images, {setting: detector for setting, detector in detectors.items()
                       if setting.model == model})
             for images in labelled for model in images.models]
    measured: dict[str, dict[Setting, ApOfDraws]] = {images.title: {} for images in labelled}
    total = sum(len(images.dataset.images) * len(group) for images, group in tasks)
    with tqdm(total=total, desc='AP', unit='image', disable=None) as bar:
        for images, group in tasks:
            for detector in group.values():
                detector.selection = AP_SELECTION
            found = measure_ap(group, images, bar.update, args.draws)
            measured[images.title] |= found
            for setting, each in found.items():
                results[setting].add(images.title, each.metrics)
            note_differences(results, images.title, measured[images.title], reference)
            _write_json(args.json, results)


def _write(args: argparse.Namespace, results: Results, labelled: Sequence[LabelledImages],
           reference: Setting, cards: Mapping[str, ModelCard]) -> None:
    _write_json(args.json, results)
    if args.plot:
        save_figure(args.plot, draw_comparison(results, labelled, {
            name: card.preprocess.resize for name, card in cards.items()}))
    if args.markdown:
        text = [f'# Which model, at which size\n\n{describe_machine()} '
                f'Made by `lite_detector compare`: {args.threads} '
                f'thread{"s" if args.threads > 1 else ""}, images of {args.image_size}, all times '
                'measured in turn, medians; AP as `evaluate`.']
        if args.plot:
            text.append(f'\n![AP against milliseconds]({args.plot.name})')
        args.markdown.write_text('\n'.join(text + markdown(results, labelled, reference)) + '\n',
                                 encoding='utf-8')


def _write_json(path: Path | None, results: Results) -> None:
    if path:
        write_json(path, [{**setting._asdict(), **asdict(found)}
                          for setting, found in results.items()])
