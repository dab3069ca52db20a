# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Fetch one file over https: checked, resumable, all or nothing."""

from __future__ import annotations

from collections.abc import Callable
import hashlib
from http.client import HTTPException, HTTPMessage
from pathlib import Path
import ssl
from typing import IO
import urllib.error
import urllib.request

from lite_detector.core.errors import DownloadError

CHUNK_BYTES = 1 << 16
TIMEOUT_S = 30
MAX_BYTES = 1 << 30


class _HttpsOnly(urllib.request.HTTPRedirectHandler):
    """Follows a redirect only to another https address."""

    def redirect_request(self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str,
                         headers: HTTPMessage, newurl: str) -> urllib.request.Request | None:
        _check_https(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def download(url: str, path: Path, sha256: str, partial_dir: Path,
             progress: Callable[[str, int, int], None] | None = None,
             context: ssl.SSLContext | None = None) -> None:
    """
    Download a file and hold it against its checksum.

    :param url: https only, redirects included.
    :param path: appears only when the file is whole and right.
    :param sha256: hex digest the file must have.
    :param partial_dir: where an unfinished download waits to be resumed; it must be on the same
        file system as ``path``.
    :param progress: called with file name, bytes so far and bytes in all (0: unknown).
    :param context: certificates to trust instead of the system's.
    :raises DownloadError: if the server cannot be reached or the checksum differs.
    """
    _check_https(url)
    partial_dir.mkdir(parents=True, exist_ok=True)
    partial = partial_dir / sha256
    try:
        _fetch(url, partial, path.name, progress, context)
    except (OSError, HTTPException, ValueError) as error:  # ValueError: no ASCII in the url
        reason = getattr(error, 'reason', error)
        raise DownloadError(f'{url}: {reason}; run the command again to go on where it '
                            'stopped') from None
    got = hashlib.sha256(partial.read_bytes()).hexdigest()
    if got != sha256:
        # a rotten part would spoil every later try
        partial.unlink()
        raise DownloadError(f'{url}: sha256 is {got}, wanted {sha256}')
    partial.rename(path)


def _fetch(url: str, partial: Path, name: str,
           progress: Callable[[str, int, int], None] | None,
           context: ssl.SSLContext | None) -> None:
    opener = urllib.request.build_opener(_HttpsOnly(),
                                         urllib.request.HTTPSHandler(context=context))
    have = partial.stat().st_size if partial.exists() else 0
    request = urllib.request.Request(url, headers={'Range': f'bytes={have}-'} if have else {})
    try:
        response = opener.open(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:  # nothing is left to send; the checksum decides
            return
        raise
    with response:
        if response.status != 206:
            have = 0
        length = int(response.headers.get('Content-Length') or 0)
        total = have + length if length else 0
        with partial.open('ab' if have else 'wb') as file:
            while chunk := response.read(CHUNK_BYTES):
                file.write(chunk)
                have += len(chunk)
                if have > MAX_BYTES:
                    raise OSError(f'more than {MAX_BYTES} bytes')
                if progress:
                    progress(name, have, total)
    if total and have < total:
        raise OSError(f'connection ended after {have} of {total} bytes')


def _check_https(url: str) -> None:
    if not url.startswith('https://'):
        raise DownloadError(f'{url}: downloads go over https only')
