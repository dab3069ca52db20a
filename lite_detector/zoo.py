# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Find models and configurations by name or path, and download public weights."""

from __future__ import annotations

from collections.abc import Callable
import hashlib
import os
from pathlib import Path
import shutil
from typing import cast

from lite_detector.core.atomic_files import atomic_folder
from lite_detector.core.cache_folder import cache_folder
from lite_detector.core.errors import ConfigError, DownloadError, ModelError
from lite_detector.core.model_card import (
    CARD_FILE,
    checked_files,
    load_card,
    ModelCard,
    path_inside,
    RuntimeFiles,
)

DEFAULT_MODEL = 'coco_320'
"""Default model of the node; tests compare the documentation with it."""
SEARCH_VARIABLE = 'LITE_DETECTOR_MODELS'
Progress = Callable[[str, int, int], None]


def user_cache() -> Path:
    """Return the folder of downloaded models."""
    return cache_folder('models')


def search_path() -> list[Path]:
    """Return the folders that contain model folders, in the order of precedence."""
    named = [Path(os.path.expanduser(part))
             for part in os.environ.get(SEARCH_VARIABLE, '').split(os.pathsep) if part]
    own = [root / 'models' for root in _package_roots()]
    return [folder for folder in (*named, *own, user_cache())
            if os.path.isdir(folder)]  # Path.is_dir raises an error without permission


def find_config(config: str, kind: str = 'train') -> Path:
    """
    Return the path of a configuration.

    :param config: Path of a file, or name of a configuration of the package.
    :param kind: Subfolder of ``config``: train or search.
    :raises ConfigError: if there is no such configuration.
    """
    path = Path(os.path.expanduser(config))
    if path.is_file() or path.name != config or path.suffix:
        return path  # the reader of the file reports errors
    shipped = list_configs(kind)
    if config not in shipped:
        raise ConfigError(f'configuration {config!r} not found; expected a YAML file, or one of '
                          + ', '.join(sorted(shipped)))
    return shipped[config]


def list_configs(kind: str) -> dict[str, Path]:
    """Return name -> path of the configurations of the package; ``kind``: train or search."""
    folders = [root / 'config' / kind for root in _package_roots()]
    return {file.stem: file for folder in folders for file in sorted(folder.rglob('*.yaml'))}


def _package_roots() -> list[Path]:
    """Return the source folder, and share/ of the install prefix (colcon, pip, apt)."""
    package = Path(__file__).resolve().parent
    return [package.parent, *(parent / 'share' / 'lite_detector' for parent in package.parents)]


def list_models() -> dict[str, Path]:
    """Return name -> folder of all models; folders with weights precede those without."""
    models: dict[str, Path] = {}
    for folder in search_path():
        for card_path in sorted(folder.glob(f'*/{CARD_FILE}')):
            name = card_path.parent.name
            if name not in models or not has_weights(models[name]):
                models[name] = card_path.parent
    return models


def find_model(model: str) -> Path:
    """
    Return the folder of a model with weights.

    :param model: Path of a model folder, or a name to find in ``search_path``.
    :raises ModelError: if there is no such model, or it has no weights.
    """
    if not model:
        raise ModelError('model: empty; ' + _choices())
    path = Path(os.path.expanduser(model))  # Path.expanduser raises an error without a home
    # os.path, because Path.is_file raises an error if the name is too long
    if os.path.isfile(path / CARD_FILE):
        return path
    if path.name != model or os.path.isdir(path):
        raise ModelError(f'{model}: not a model folder ({CARD_FILE} is missing)')
    folder = list_models().get(model)
    if folder is None:
        raise ModelError(f'model {model!r} not found; ' + _choices())
    load_card(folder)  # report an error in the card rather than missing weights
    if not has_weights(folder):
        raise ModelError(f'model {model!r} has no weights yet; download them with '
                         f'`ros2 run lite_detector fetch_model {model}`')
    return folder


def has_weights(folder: Path) -> bool:
    """Return whether the files of at least one runtime exist; False for an invalid card."""
    try:
        return bool(_present_files(folder, load_card(folder)))
    except ConfigError:
        return False


def fetch_model(name: str, source: Path | None = None,
                progress: Progress | None = None) -> Path:
    """
    Download the public weights of a model into the user cache.

    The folder is created atomically. An interrupted download is resumed.

    :param name: Name of a model whose card has URLs.
    :param source: Folder to take the files from instead; files are identified by their sha256, so
        their names do not matter. None: download.
    :param progress: Callback with file name, bytes so far and total bytes (0: unknown).
    :return: Path of the model folder.
    :raises DownloadError: if a file is not available or has another checksum.
    """
    # the first card, not the first with weights: the cache may contain an older version
    folder = next((path.parent for root in search_path() for path in root.glob(f'*/{CARD_FILE}')
                   if path.parent.name == name), None)
    if folder is None:
        raise ModelError(f'model {name!r} not found; ' + _choices())
    card = load_card(folder)
    target = user_cache() / name
    for ready in (folder, target):
        if _has_card(ready, folder) and _is_intact(ready, card):
            return ready
    with atomic_folder(target, replace=True) as staged:
        shutil.copy(folder / CARD_FILE, staged)
        for files in _public_files(card, with_url=source is None):
            checksums = cast('dict[str, str]', files.sha256)
            urls = cast('dict[str, str]', files.url)
            for role, file_name in files.files().items():
                path = path_inside(staged, file_name)
                path.parent.mkdir(parents=True, exist_ok=True)
                cached = path_inside(target, file_name)
                if _has_sha256(cached, checksums[role]):
                    shutil.copyfile(cached, path)
                    continue
                _obtain(urls.get(role, ''), checksums[role], path, source, progress)
    return target


def _obtain(url: str, sha256: str, path: Path, source: Path | None,
            progress: Progress | None) -> None:
    if source is None:
        # imported here, because the node never downloads and starts faster without http and ssl
        from lite_detector.download import download
        download(url, path, sha256, user_cache() / '.partial', progress)
        return
    if not source.is_dir():
        raise DownloadError(f'--from {source}: no such folder')
    for candidate in sorted(source.iterdir()):
        if _has_sha256(candidate, sha256):
            shutil.copyfile(candidate, path)
            return
    raise DownloadError(f'--from {source}: no file with the sha256 of {path.name}, {sha256}')


def _has_sha256(path: Path, sha256: str) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == sha256


def _has_card(folder: Path, wanted: Path) -> bool:
    card = folder / CARD_FILE
    return card.is_file() and card.read_bytes() == (wanted / CARD_FILE).read_bytes()


def _is_intact(folder: Path, card: ModelCard) -> bool:
    present = _present_files(folder, card)
    try:
        for files in present:
            checked_files(folder, files)
    except ModelError:
        return False
    return bool(present)


def _present_files(folder: Path, card: ModelCard) -> list[RuntimeFiles]:
    return [files for files in _runtime_files(card)
            if all((folder / name).is_file() for name in files.files().values())]


def _public_files(card: ModelCard, with_url: bool) -> list[RuntimeFiles]:
    """Return the runtimes whose files all have a checksum and, if required, a URL."""
    public = [files for files in _runtime_files(card)
              if files.files().keys() == files.sha256.keys()
              and (files.files().keys() == files.url.keys() or not with_url)]
    if not public:
        raise DownloadError(f'model {card.name!r}: the card has no url and sha256 for its files')
    return public


def _runtime_files(card: ModelCard) -> list[RuntimeFiles]:
    return [files for files in (card.runtimes.ncnn, card.runtimes.onnx) if files]


def _choices() -> str:
    names = sorted(list_models())
    if not names:
        return f'no models found; set {SEARCH_VARIABLE} or pass the path of a model folder'
    return f'expected one of {", ".join(names)}, or the path of a model folder'
