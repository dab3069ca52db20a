# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Download a file over https: resumable, verified by checksum, atomic."""

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
    """A handler that follows redirects to https addresses only."""

    def redirect_request(self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str,
                         headers: HTTPMessage, newurl: str) -> urllib.request.Request | None:
        _check_https(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def download(url: str, path: Path, sha256: str, partial_dir: Path,
             progress: Callable[[str, int, int], None] | None = None,
             context: ssl.SSLContext | None = None) -> None:
    """
    Download a file and compare it with its checksum.

    :param url: Address, https only, also after redirects.
    :param path: Path of the file, which is created only after a complete and correct download.
    :param sha256: Expected hex digest.
    :param partial_dir: Directory for incomplete downloads, which are resumed; it must be on the
        same file system as ``path``.
    :param progress: Callback with file name, bytes so far and total bytes (0: unknown).
    :param context: TLS certificates to trust; None: those of the system.
    :raises DownloadError: if the server cannot be reached or the checksum differs.
    """
    _check_https(url)
    partial_dir.mkdir(parents=True, exist_ok=True)
    partial = partial_dir / sha256
    try:
        _fetch(url, partial, path.name, progress, context)
    except (OSError, HTTPException, ValueError) as error:  # ValueError: non-ASCII url
        reason = getattr(error, 'reason', error)
        raise DownloadError(f'{url}: {reason}; run the command again to resume the download'
                            ) from None
    got = hashlib.sha256(partial.read_bytes()).hexdigest()
    if got != sha256:
        # a damaged part would break all later attempts
        partial.unlink()
        raise DownloadError(f'{url}: sha256 is {got}; expected {sha256}')
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
        if error.code == 416 and have:  # the file is complete; the checksum decides
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
        raise OSError(f'connection ended after {have} bytes; expected {total}')


def _check_https(url: str) -> None:
    if not url.startswith('https://'):
        raise DownloadError(f'{url}: expected an https address')
