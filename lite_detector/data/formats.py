# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The door to labelled data: one function for all formats."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lite_detector.core.errors import DataError
from lite_detector.data.coco import CocoDataset, find_images, load_coco, read_coco, to_coco
from lite_detector.data.dataset import check_class_names, Dataset, require_images
from lite_detector.data.voc import read_voc
from lite_detector.data.yolo import label_files, NAME_FILES, read_yolo

WANTED = ('wanted a COCO json file, a folder of Pascal VOC xml files, or a data.yaml or folder of '
          'txt files of YOLO')
YOLO_SUFFIXES = ('.yaml', '.yml')
NOT_COCO = (*YOLO_SUFFIXES, '.xml', '.txt')


def open_dataset(annotations: Path, images: Path,
                 class_names: Sequence[str] | None = None) -> Dataset:
    """
    Open labelled images of any format; all images are there.

    :param annotations: see :func:`read_annotations`.
    :param images: folder of the images.
    :param class_names: fixes the class ids, as the model or another split has them; by default
        the annotations do.
    :raises DataError: if anything is missing, malformed, or of a class that is not in the list.
    """
    dataset = read_annotations(annotations, images, class_names)
    if class_names is not None:
        dataset = dataset.with_class_names(class_names)
    require_images([labels.image_path for labels in dataset.labels])
    return dataset


def read_annotations(annotations: Path, images: Path,
                     class_names: Sequence[str] | None = None) -> Dataset:
    """
    Read labels with the classes that they name themselves; images may be missing.

    :param annotations: COCO: a json file. Pascal VOC: a folder of xml files. YOLO: a folder of
        txt files, or a data.yaml.
    :param images: folder of the images.
    :param class_names: YOLO's, where no file says them; VOC's, where no box does.
    :raises DataError: if anything but an image is missing, or malformed.
    """
    if class_names is not None:
        check_class_names(class_names, 'class names')
    if not images.is_dir():
        raise DataError(f'{images}: no such folder')
    if not annotations.exists():
        raise DataError(f'{annotations}: no such file or folder')
    if annotations.is_dir():
        return _read_folder(annotations, images, class_names)
    if annotations.suffix.lower() in YOLO_SUFFIXES:
        return read_yolo(annotations, images, class_names)
    if annotations.suffix.lower() in NOT_COCO:
        raise DataError(f'{annotations}: {WANTED}')
    return read_coco(annotations, images)


def open_as_coco(annotations: Path, images: Path,
                 class_names: Sequence[str] | None = None) -> CocoDataset:
    """
    Open labelled images of any format as AP is measured on them.

    A COCO file stays as it is, with its ids and the areas of its objects.

    :param annotations: see :func:`read_annotations`.
    :param images: folder of the images.
    :param class_names: of the model, for labels that do not name their classes.
    :raises DataError: if anything is missing, or malformed.
    :raises ImageError: if an image cannot be read whose size only the image tells.
    """
    if annotations.is_dir() or annotations.suffix.lower() in NOT_COCO:
        labelled = read_annotations(annotations, images, class_names)
        require_images([labels.image_path for labels in labelled.labels])
        return to_coco(labelled)
    dataset = load_coco(annotations)
    find_images(dataset, images)
    return dataset


def _read_folder(folder: Path, images: Path, class_names: Sequence[str] | None) -> Dataset:
    has_xml = any(folder.glob('*.xml'))
    has_txt = bool(label_files(folder))
    if has_xml and has_txt:
        raise DataError(f'{folder}: xml and txt files side by side; put one kind elsewhere')
    if has_xml:
        return read_voc(folder, images, class_names or ())
    if has_txt or any((folder / name).is_file() for name in NAME_FILES):
        return read_yolo(folder, images, class_names)
    raise DataError(f'{folder}: neither xml nor txt files in this folder; {WANTED}')
