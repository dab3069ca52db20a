# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Functions that open labelled data of any format."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lite_detector.core.errors import DataError
from lite_detector.core.media import read_image
from lite_detector.core.types import size_of
from lite_detector.data.coco import CocoDataset, load_coco, read_coco, to_coco
from lite_detector.data.dataset import check_class_names, Dataset
from lite_detector.data.findings import Findings
from lite_detector.data.image_check import find_problem, without_unusable
from lite_detector.data.text_files import walk_files
from lite_detector.data.voc import read_voc
from lite_detector.data.yolo import has_labels, is_list, read_yolo
from lite_detector.data.yolo_names import NAME_SUFFIXES
import msgspec

WANTED = ('expected a COCO json file, a folder of Pascal VOC xml files, or a data.yaml or folder '
          'of txt files of YOLO')
NOT_COCO = (*NAME_SUFFIXES, '.xml', '.txt')


def open_dataset(annotations: Path, images: Path, class_names: Sequence[str] | None = None,
                 findings: Findings | None = None) -> Dataset:
    """
    Open labelled images of any format, without images that are missing or malformed.

    Broken items are skipped and counted (docs/reference/data_formats.md).

    :param annotations: Path of the labels, see :func:`read_annotations`.
    :param images: Folder of the images.
    :param class_names: Class names of the model or of another split, which fix the class ids;
        None: the class names of the annotations.
    :param findings: Collector of skipped items and notes, with the tolerance for broken items;
        None: at most 10 % are skipped. The dataset keeps it as ``findings``.
    :raises DataError: if nothing can be used, too much is broken, or the labels are ambiguous.
    """
    dataset = read_annotations(annotations, images, class_names, findings)
    if class_names is not None:
        dataset = dataset.with_class_names(class_names)
    return without_unusable(dataset)


def read_annotations(annotations: Path, images: Path, class_names: Sequence[str] | None = None,
                     findings: Findings | None = None) -> Dataset:
    """
    Read labels with their own class names; images may be missing.

    :param annotations: COCO: a json file. Pascal VOC: a folder of xml files. YOLO: a folder of
        txt files, a data.yaml, obj.data or file of names, or a list of images such as train.txt.
    :param images: Folder of the images.
    :param class_names: Class names for YOLO labels without a file of names, and for VOC classes
        without a box.
    :param findings: Collector, see :func:`open_dataset`; the tolerance is not checked here.
    :raises DataError: if nothing can be used, or the labels are ambiguous.
    """
    if class_names is not None:
        check_class_names(class_names, 'class names')
    if not images.is_dir():
        raise DataError(f'{images}: no such folder')
    if not annotations.exists():
        raise DataError(f'{annotations}: no such file or folder')
    if annotations.is_dir():
        return _read_folder(annotations, images, class_names, findings)
    if annotations.suffix.lower() in NAME_SUFFIXES or is_list(annotations):
        return read_yolo(annotations, images, class_names, findings)
    if annotations.suffix.lower() in NOT_COCO:
        raise DataError(f'{annotations}: {WANTED}')
    return read_coco(annotations, images, findings)


def open_as_coco(annotations: Path, images: Path, class_names: Sequence[str] | None = None,
                 findings: Findings | None = None) -> CocoDataset:
    """
    Open labelled images of any format for the measurement of AP.

    A COCO file keeps its ids and the areas of its objects.

    :param annotations: Path of the labels, see :func:`read_annotations`.
    :param images: Folder of the images.
    :param class_names: Class names of the model, for labels without class names.
    :param findings: Collector of skipped items and notes, see :func:`open_dataset`.
    :raises DataError: if :func:`open_dataset` raises it.
    """
    if annotations.is_dir() or annotations.suffix.lower() in NOT_COCO:
        return to_coco(without_unusable(
            read_annotations(annotations, images, class_names, findings)))
    findings = Findings() if findings is None else findings
    dataset = load_coco(annotations, images, findings)
    kept = []
    for image in dataset.images:
        path = images / image.file_name
        problem = find_problem(path, image.size)
        if problem is not None:
            findings.skip(problem.kind, path, problem.what.partition(': ')[2])
            continue
        if image.size is None:
            height, width = size_of(read_image(path))
            image = msgspec.structs.replace(image, width=width, height=height)
        kept.append(image)
    findings.check()
    ids = {image.image_id for image in kept}
    boxes = tuple(box for box in dataset.annotations if box.image_id in ids)
    return CocoDataset(tuple(kept), boxes, dataset.categories)


def _read_folder(folder: Path, images: Path, class_names: Sequence[str] | None,
                 findings: Findings | None) -> Dataset:
    has_xml = next(walk_files(folder, ('.xml',)), None)
    has_txt = has_labels(folder)
    if has_xml and has_txt:
        raise DataError(f'{folder}: both xml and txt files; expected Pascal VOC or YOLO; choose '
                        'the folder of one format with --annotations')
    if has_xml:
        return read_voc(folder, images, class_names or (), findings)
    if has_txt:
        return read_yolo(folder, images, class_names, findings)
    raise DataError(f'{folder}: no xml and no txt files; {WANTED}')
