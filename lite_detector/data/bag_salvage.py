# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Readers for recordings that end early, for example after a loss of power.

A complete MCAP file ends with a footer, which readers require. :class:`CutMcap` presents the file
up to its last complete record and appends a footer. In a truncated SQLite file the first rows are
intact; :class:`CutSqlite` reads them in the order in which they were written.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import closing
import io
from pathlib import Path
import sqlite3
import struct
from typing import BinaryIO, cast, NamedTuple

from lite_detector.core.errors import DataError

MAGIC = b'\x89MCAP0\r\n'
FOOTER = struct.pack('<BQQQI', 2, 20, 0, 0, 0) + MAGIC
"""Record type 2 with 20 bytes: no summary, no checksum."""
RECORD_HEAD = struct.Struct('<BQ')
DATA_END = 15
"""Record type that precedes the summary."""
SOUND = "typeof(timestamp) = 'integer' AND typeof(data) = 'blob'"
"""SQL condition for valid rows: SQLite stores any type in any column, also after bit errors."""


class CutMcap:
    """
    An MCAP file without its end, with the interface of a path that can be opened.

    :param path: The MCAP file.
    :raises DataError: if the file does not start with the MCAP magic bytes.
    """

    suffix = '.mcap'

    def __init__(self, path: Path) -> None:
        self._path = path
        with path.open('rb') as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise DataError(f'{path}: wrong first bytes; expected an MCAP file')
            self._end = _end_of_records(file, path.stat().st_size)

    def __str__(self) -> str:
        """Return the path."""
        return str(self._path)

    def exists(self) -> bool:
        """Return whether the file exists; it was opened before."""
        return True

    def is_dir(self) -> bool:
        """Return whether it is a folder."""
        return False

    def open(self, mode: str) -> BinaryIO:  # noqa: A003
        """
        Open the file with a valid footer.

        :param mode: File mode; only ``rb`` is supported.
        """
        assert mode == 'rb', 'only rb is supported'
        return cast(BinaryIO, _WithFooter(self._path.open('rb'), self._end))


class _WithFooter(io.RawIOBase):
    """The first bytes of a file, followed by a footer."""

    def __init__(self, file: BinaryIO, end: int) -> None:
        self._file, self._end, self._position = file, end, 0

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position,
                 io.SEEK_END: self._end + len(FOOTER)}[whence]
        self._position = start + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def read(self, size: int = -1) -> bytes:
        total = self._end + len(FOOTER)
        stop = total if size < 0 else min(total, self._position + size)
        self._file.seek(self._position)
        data = self._file.read(max(0, min(stop, self._end) - self._position))
        behind = self._position + len(data) - self._end
        if behind >= 0:
            data += FOOTER[behind:max(behind, stop - self._end)]
        self._position += len(data)
        return data

    def close(self) -> None:
        self._file.close()
        super().close()


def _end_of_records(file: BinaryIO, size: int) -> int:
    """Return the end of the last complete record; ``file`` is positioned at the first record."""
    end = len(MAGIC)
    while len(head := file.read(RECORD_HEAD.size)) == RECORD_HEAD.size:
        kind, length = RECORD_HEAD.unpack(head)
        if kind in (0, DATA_END) or end + RECORD_HEAD.size + length > size:
            break
        end += RECORD_HEAD.size + length
        file.seek(end)
    return end


class Topic(NamedTuple):
    """The fields of a rosbags connection that are used here."""

    topic_id: int
    topic: str
    msgtype: str


class CutSqlite:
    """
    The readable rows of a damaged rosbag2 database.

    :param path: The SQLite file.
    :raises DataError: if the table of topics cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with closing(self._connect()) as database:
                rows = database.execute('SELECT id, name, type FROM topics').fetchall()
                first = database.execute(f'SELECT timestamp FROM messages WHERE {SOUND} '
                                         'ORDER BY id LIMIT 1')
                self.start_time: int = (first.fetchone() or (2 ** 63 - 1,))[0]
        except sqlite3.Error as error:
            raise DataError(f'{path}: {error}') from None
        self.connections = [Topic(*row) for row in rows]

    def messages(self, connections: Collection[Topic], start: int | None = None,
                 stop: int | None = None) -> Iterator[tuple[Topic, int, bytes]]:
        """
        Read messages in the order in which they were written.

        :param connections: Topics to read.
        :param start: First recording time, nanoseconds.
        :param stop: End of the recording times, nanoseconds, exclusive.
        :raises sqlite3.Error: at the first damaged row.
        """
        topics = {each.topic_id: each for each in connections}
        with closing(self._connect()) as database:
            for topic_id, time_ns, data in database.execute(
                    f'SELECT topic_id, timestamp, data FROM messages WHERE {SOUND} '
                    'ORDER BY id'):
                if topic_id in topics and (start or 0) <= time_ns < (stop or 2 ** 63):
                    yield topics[topic_id], time_ns, data

    def close(self) -> None:
        """Do nothing: each call of :meth:`messages` opens and closes the file."""

    def _connect(self) -> sqlite3.Connection:
        log = self.path.with_name(f'{self.path.name}-wal')
        # Without a write-ahead log the file is opened immutable; with one SQLite reads both.
        mode = 'mode=ro' if log.is_file() and log.stat().st_size else 'immutable=1'
        database = sqlite3.connect(f'{self.path.absolute().as_uri()}?{mode}', uri=True)
        # Without it SQLite refuses a file that is shorter than its header states.
        database.execute('PRAGMA writable_schema = ON')
        return database
