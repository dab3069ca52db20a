# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Read YOLO class names: classes.txt, data.yaml, and darknet's obj.names and obj.data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
import math
from pathlib import Path
from typing import Any

from lite_detector.core.config import YAML_ERRORS
from lite_detector.core.errors import DataError
from lite_detector.data.dataset import check_class_names
from lite_detector.data.findings import Findings
from lite_detector.data.notation import identifier, number, numbers
from lite_detector.data.text_files import read_text, walk_files
import yaml

LISTS = ('classes.txt', 'obj.names', '_darknet.labels', 'predefined_classes.txt')
NAME_FILES = (*LISTS, 'data.yaml', 'data.yml', 'obj.data')
YAML_SUFFIXES, DARKNET_SUFFIX, LIST_SUFFIXES = ('.yaml', '.yml'), '.data', ('.names', '.labels')
NAME_SUFFIXES = (*YAML_SUFFIXES, DARKNET_SUFFIX, *LIST_SUFFIXES)


@dataclass(frozen=True)
class Classes:
    """
    Names of the class ids.

    :param names: Class names.
    :param index: Class id in the label files -> index into the names.
    :param keypoint_values: Number of key point values after each box; 0: none.
    """

    names: tuple[str, ...]
    index: Mapping[int, int]
    keypoint_values: int = 0

    @classmethod
    def counted(cls, names: Sequence[str], keypoint_values: int = 0) -> Classes:
        """Return classes with ids from 0."""
        return cls(tuple(names), {each: each for each in range(len(names))}, keypoint_values)


def find_classes(annotations: Path, folder: Path, findings: Findings) -> Classes | None:
    """
    Find and read the file of class names.

    :param annotations: Path of that file, or the folder of labels.
    :param folder: Folder of the labels; the file may be up to two folders above.
    :raises DataError: if a file is malformed, or two files in one folder disagree.
    """
    if annotations.is_file():
        return read_classes(annotations, findings)
    for place in dict.fromkeys((annotations, folder, *folder.absolute().parents[:2])):
        known = [place / name for name in NAME_FILES if (place / name).is_file()]
        if not known:
            known = [path for path in sorted(place.glob('*'))
                     if path.suffix.lower() in NAME_SUFFIXES and _has_names(path)]
        found = {path: read_classes(path, findings) for path in known}
        if found:
            first, *others = found
            for other in others:
                if found[other].names != found[first].names:
                    raise DataError(
                        f'{place}: {first.name} names the classes '
                        f'{", ".join(found[first].names[:3])}, {other.name} '
                        f'{", ".join(found[other].names[:3])}; choose one with --annotations '
                        f'{other} or remove the other')
            return found[others[-1] if others else first]
    return None


def read_classes(path: Path, findings: Findings) -> Classes:
    """
    Read a file of class names.

    :raises DataError: if the file is malformed.
    """
    suffix = path.suffix.lower()
    if suffix in YAML_SUFFIXES:
        classes = _read_yaml(path, findings)
    elif suffix == DARKNET_SUFFIX:
        return read_classes(_names_of_darknet(path, findings), findings)
    else:
        classes = Classes.counted(_read_list(path, findings))
    check_class_names(classes.names, str(path))
    return classes


def _has_names(path: Path) -> bool:
    try:
        return path.suffix.lower() not in YAML_SUFFIXES or isinstance(
            yaml.load(read_text(path), yaml.BaseLoader).get('names'), (list, dict))
    except (DataError, *YAML_ERRORS):
        return False


def _read_list(path: Path, findings: Findings) -> list[str]:
    lines = [line.strip() for line in read_text(path, findings).splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _names_of_darknet(path: Path, findings: Findings) -> Path:
    """Return the file of names next to an obj.data; the folder written in it is ignored."""
    for line in read_text(path, findings).splitlines():
        key, _, value = line.partition('=')
        if key.strip().lower() == 'names' and value.strip():
            wanted = value.strip().replace('\\', '/').rpartition('/')[2]
            for name in sorted(walk_files(path.parent, LIST_SUFFIXES)):
                if name.rpartition('/')[2].lower() == wanted.lower():
                    return path.parent / name
            raise DataError(f'{path}: names is {value.strip()}; expected the file {wanted} next '
                            f'to {path.name}')
    raise DataError(f'{path}: no line `names = ...`; expected the file of class names')


def _read_yaml(path: Path, findings: Findings) -> Classes:
    text = read_text(path, findings)
    try:
        # typed values reveal entries that are not text; the plain ones keep names such as 007
        typed, plain = yaml.safe_load(text), yaml.load(text, yaml.BaseLoader)
    except YAML_ERRORS as error:
        raise DataError(f'{path}: not valid YAML: {" ".join(str(error).split())}') from None
    if not isinstance(plain, dict) or not isinstance(plain.get('names'), (list, dict)):
        raise DataError(f'{path}: $: no names; expected a list of class names or a mapping from '
                        'id to name')
    names, kinds = plain['names'], typed['names']
    for key, (name, kind) in zip(_keys(names), zip(_values(names), _values(kinds), strict=True),
                                 strict=True):
        if kind is None or isinstance(kind, bool) or not isinstance(name, str):
            raise DataError(f'{path}: names: class {key} is {name}, which YAML reads as '
                            f'{type(kind).__name__}; expected text: put it in quotes')
    by_id = _by_id(names, path)
    ids = sorted(by_id)
    count = number(plain.get('nc'))
    if count is not None and count != len(names):
        findings.note('class_count', path, f'nc is {count:g}, but there are {len(names)} names; '
                      'the number of names is used')
    shape = numbers(plain.get('kpt_shape'))
    return Classes(tuple(by_id[each].strip() for each in ids),
                   {each: place for place, each in enumerate(ids)},
                   int(math.prod(shape)) if shape else 0)


def _by_id(names: Any, path: Path) -> dict[int, str]:
    """Return id -> name."""
    if not isinstance(names, dict):
        return dict(enumerate(names))
    found: dict[int, str] = {}
    for key, name in names.items():
        class_id = identifier(key)
        if not isinstance(class_id, int) or class_id < 0 or class_id in found:
            raise DataError(f'{path}: names: ids {", ".join(map(str, names))}; expected distinct '
                            'numbers from 0')
        found[class_id] = name
    return found


def _keys(names: Any) -> list[Any]:
    return list(names) if isinstance(names, dict) else list(range(len(names)))


def _values(names: Any) -> list[Any]:
    return list(names.values()) if isinstance(names, dict) else list(names)
