# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Files and folders that appear complete or not at all."""

import os
from pathlib import Path

from lite_detector.core.atomic_files import atomic_file, atomic_folder
import pytest


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize('durable', [False, True])
def test_atomic_file_replaces_the_old_one_when_the_block_ends(tmp_path, durable):
    path = tmp_path / 'a.json'
    path.write_text('old')
    with atomic_file(path, durable) as scratch:
        scratch.write_text('new')
        assert path.read_text() == 'old'
    assert path.read_text() == 'new'
    assert names(tmp_path) == ['a.json']


@pytest.mark.parametrize('error', [OSError(28, 'full'), KeyboardInterrupt()])
def test_atomic_file_whose_block_fails_leaves_the_old_one(tmp_path, error):
    path = tmp_path / 'a.json'
    path.write_text('old')
    with pytest.raises(type(error)), atomic_file(path) as scratch:
        scratch.write_text('half')
        raise error
    assert path.read_text() == 'old'
    assert names(tmp_path) == ['a.json']


def test_durable_atomic_file_is_flushed_before_it_is_moved(tmp_path, monkeypatch):
    path = tmp_path / 'a.pt'
    there = []
    monkeypatch.setattr(os, 'fsync', lambda _: there.append(path.exists()))
    with atomic_file(path, durable=True) as scratch:
        scratch.write_bytes(b'weights')
    assert there == [False]
    with atomic_file(path) as scratch:
        scratch.write_bytes(b'figures')
    assert there == [False]


def test_atomic_folder_takes_the_place_of_an_empty_one(tmp_path):
    target = tmp_path / 'above' / 'data'
    target.mkdir(parents=True)
    with atomic_folder(target) as staged:
        (staged / 'a.txt').write_text('new')
        assert names(target) == []
    assert names(target) == ['a.txt']
    assert names(target.parent) == ['data']


def test_atomic_folder_without_replace_keeps_a_folder_with_content(tmp_path):
    target = tmp_path / 'data'
    target.mkdir()
    with pytest.raises(OSError, match='not empty'), atomic_folder(target) as staged:
        (staged / 'a.txt').write_text('new')
        (target / 'thesis.txt').write_text('mine')  # meanwhile
    assert names(target) == ['thesis.txt']
    assert names(tmp_path) == ['data']


def test_atomic_folder_replaces_a_folder_with_content(tmp_path):
    target = tmp_path / 'data'
    target.mkdir()
    (target / 'old.txt').touch()
    with atomic_folder(target, replace=True) as staged:
        (staged / 'a.txt').write_text('new')
    assert names(target) == ['a.txt']
    assert names(tmp_path) == ['data']
