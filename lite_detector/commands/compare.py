# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""``compare``: compare AP and latency of models and input sizes on labelled images."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import cv2
from lite_detector.bench.setting import (
    fitting_sizes,
    open_detectors,
    PASSIVE,
    Setting,
    settings_of,
)
from lite_detector.bench.sweep import ApOnImages, Row
from lite_detector.commands.measuring import (
    add_measuring_options,
    check_measuring_options,
    conclude,
    measure_settings,
    Models,
    models_from,
    write_report,
)
from lite_detector.commands.options import (
    add_reading_options,
    findings_from,
    print_findings,
    RenamedOption,
)
from lite_detector.core.errors import ConfigError
from lite_detector.core.media import read_image
from lite_detector.core.model_card import load_card, ModelCard
from lite_detector.core.types import ImageArray, ImageSize
from lite_detector.data.coco import CocoDataset, find_images
from lite_detector.data.formats import open_as_coco
from lite_detector.evaluation.bootstrap import DRAWS
from lite_detector.evaluation.coco_metrics import AP_SELECTION, require_faster_coco_eval
from lite_detector.evaluation.comparison import (
    ap_difference,
    labelled_images,
    LabelledImages,
    measure_ap,
)
from lite_detector.zoo import has_weights, list_models
from msgspec.structs import replace
from tqdm import tqdm

SIDES = (256, 320, 352, 416)
CAMERA = ImageSize(480, 640)
FULL_PRECISION = 'fp32'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument('--annotations', action='append', required=True, type=Path, metavar='F',
                        help='labels in any format of check_data; repeat for several sets')
    parser.add_argument('--images', action='append', required=True, type=Path, metavar='DIR',
                        help='folder of the images; one for each --annotations')
    add_reading_options(parser)
    add_measuring_options(parser, {
        'model': 'all installed models with weights', 'size': ' '.join(map(str, SIDES)),
        'resize': 'both letterboxes, and resize of the model card', 'threads': '1',
        'precision': 'fp32 bf16', 'image': 'the first labelled image',
        'image-size': f'{CAMERA}'}, 0.5)
    parser.set_defaults(image_size=CAMERA)
    for old in ('model', 'size', 'resize', 'precision'):
        parser.add_argument(f'--{old}s', nargs='+', dest=old, action=RenamedOption,
                            type=int if old == 'size' else str)
    parser.add_argument('--reference', metavar='M', help='reference model for AP differences, at '
                        'the size and resize of its model card (the first model)')
    parser.add_argument('--draws', type=int, default=DRAWS, metavar='N',
                        help='bootstrap draws of images for the 95 %% interval of the AP '
                             f'difference to the reference; 0: no interval ({DRAWS})')


def run(args: argparse.Namespace) -> None:
    """Measure all latencies, then AP model by model; write the report also after Ctrl-C."""
    _check(args)
    models = models_from(args.model or _all_models(args.runtime))
    labelled = _labelled(args, {name: model.card for name, model in models.items()})
    settings = [setting for model in models.values()
                for setting in _settings_of(model.card, args)]
    reference = _reference(args.reference, models, settings)
    sweep = measure_settings(args, models, settings, _image(args, labelled[0]), reference)
    sweep = replace(sweep, left_out={each.title: each.left_out for each in labelled})
    image = str(args.image_size)
    try:
        for network, title, ap in _measure_aps(args, models, settings, labelled, reference):
            sweep = replace(sweep, rows=[
                _with_ap(row, title, ap, title == labelled[0].title)
                if row.setting.with_one_thread == network else row for row in sweep.rows])
    except BaseException:
        write_report(args, sweep, image)
        raise
    conclude(args, models, sweep, image, same_images=True)


def _with_ap(row: Row, title: str, ap: ApOnImages, decides: bool) -> Row:
    return replace(row, ap=ap.ap if decides else row.ap, ap_on={**row.ap_on, title: ap})


def _check(args: argparse.Namespace) -> None:
    check_measuring_options(args)
    require_faster_coco_eval()
    if args.draws < 0:
        raise ConfigError(f'--draws: {args.draws}; expected 0 or more')
    if args.output and args.budget_ms is None:
        raise ConfigError('--output: no budget; expected --budget-ms, which chooses the setting '
                          'to write')
    if len(args.annotations) != len(args.images):
        raise ConfigError(f'--images: {len(args.images)} folders for {len(args.annotations)} '
                          'annotations; expected one for each')


def _all_models(runtime: str) -> list[str]:
    found = {folder for folder in list_models().values()
             if has_weights(folder) and getattr(load_card(folder).runtimes, runtime)}
    if not found:
        raise ConfigError('--model: no installed model has weights; download one with '
                          '`lite_detector fetch_model`')
    return [str(folder) for folder in sorted(found, key=lambda each: each.name)]


def _settings_of(card: ModelCard, args: argparse.Namespace) -> list[Setting]:
    resizes = dict.fromkeys(('letterbox_rect', 'letterbox_square', card.preprocess.resize))
    return settings_of(card, fitting_sizes(card, args.size or SIDES), args.resize or list(resizes),
                       args.precision or (FULL_PRECISION, 'bf16'), args.threads or (1,),
                       args.wait_policy or (PASSIVE,))


def _labelled(args: argparse.Namespace, cards: Mapping[str, ModelCard]) -> list[LabelledImages]:
    names = {model: card.class_names for model, card in cards.items()}
    found = [labelled_images('/'.join(annotations.absolute().parts[-2:]),
                             _open(args, annotations, images), images, names)
             for annotations, images in zip(args.annotations, args.images, strict=True)]
    if len({each.title for each in found}) < len(found):
        raise ConfigError(f'--annotations: {found[0].title} is a duplicate; expected different '
                          'sets')
    return found


def _open(args: argparse.Namespace, annotations: Path, images: Path) -> CocoDataset:
    findings = findings_from(args)
    dataset = open_as_coco(annotations, images, findings=findings)
    print_findings(findings, annotations)
    return dataset


def _reference(model: str | None, models: Models, settings: Sequence[Setting]) -> Setting:
    name = model or next(iter(models))
    if name not in models:
        raise ConfigError(f'--reference: {name!r}; expected one of {", ".join(models)}')
    card = models[name].card
    square = ImageSize(card.size.width, card.size.width)
    own = Setting(name, square, card.preprocess.resize, FULL_PRECISION)
    return next((each for each in settings if each.with_one_thread == own),
                next(each for each in settings if each.model == name))


def _image(args: argparse.Namespace, labelled: LabelledImages) -> ImageArray:
    paths = find_images(labelled.dataset, labelled.folder)
    image_bgr = read_image(args.image or next(iter(paths.values())))
    return cv2.resize(image_bgr, (args.image_size.width, args.image_size.height),
                      interpolation=cv2.INTER_AREA)


def _measure_aps(args: argparse.Namespace, models: Models, settings: Sequence[Setting],
                 labelled: Sequence[LabelledImages], reference: Setting
                 ) -> Iterator[tuple[Setting, str, ApOnImages]]:
    """Measure AP model by model, the reference first; threads do not change AP."""
    networks = list(dict.fromkeys(each.with_one_thread for each in settings))
    folders = {name: model.folder for name, model in models.items()}
    total = sum(len(images.dataset.images) * sum(each.model in images.models for each in networks)
                for images in labelled)
    with tqdm(total=total, desc='AP', unit='image', disable=None) as bar:
        for images in labelled:
            base = None
            for model in sorted(images.models, key=lambda name: name != reference.model):
                detectors = open_detectors(
                    folders, [each for each in networks if each.model == model], args.runtime,
                    args.device)
                for detector in detectors.values():
                    detector.selection = AP_SELECTION
                measured = measure_ap(detectors, images, bar.update, args.draws)
                base = measured.get(reference.with_one_thread, base)
                for network, found in measured.items():
                    metrics = found.metrics
                    if metrics.ap is not None:
                        yield network, images.title, ApOnImages(
                            metrics.ap,
                            (metrics.ap_small, metrics.ap_medium, metrics.ap_large),
                            ap_difference(found, base) if base and base is not found else None)
