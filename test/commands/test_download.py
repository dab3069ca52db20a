# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Downloads from a real https server on this machine, with a certificate made for the test."""

from collections.abc import Iterator
import hashlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
import ssl
import threading

from lite_detector import download as download_module
from lite_detector.cli import main
from lite_detector.core.errors import DownloadError
from lite_detector.detector import Detector
from lite_detector.download import download
from lite_detector.zoo import fetch_model, user_cache
import numpy as np
import pytest
from tiny_models import change_card, square_image, write_tiny_nanodet
import trustme

DATA = bytes(range(256)) * 1000
SHA256 = hashlib.sha256(DATA).hexdigest()
HALF = len(DATA) // 2


class Handler(BaseHTTPRequestHandler):
    """Serves ``server.files``; the first part of the path says how."""

    protocol_version = 'HTTP/1.1'

    def do_GET(self) -> None:
        asked = self.headers.get('Range')
        self.server.requests.append((self.path, asked))
        _, manner, name = self.path.split('/')
        if manner in ('http', 'https'):
            return self.redirect(f'{manner}://127.0.0.1:{self.server.server_port}/whole/{name}')
        if name not in self.server.files:
            return self.send_error(404)
        data = self.server.files[name]
        start = int(asked.removeprefix('bytes=').removesuffix('-')) if asked else 0
        if manner == 'norange' or not start:
            start = 0
            self.send_response(200)
        elif start >= len(data):
            return self.send_error(416)
        else:
            self.send_response(206)
            self.send_header('Content-Range', f'bytes {start}-{len(data) - 1}/{len(data)}')
        self.send_body(data[start:], cut=manner == 'cut', length=manner != 'nolength')

    def redirect(self, url: str) -> None:
        self.send_response(302)
        self.send_header('Location', url)
        self.send_header('Content-Length', '0')
        self.end_headers()

    def send_body(self, body: bytes, cut: bool, length: bool) -> None:
        if length:
            self.send_header('Content-Length', str(len(body)))
        self.send_header('Connection', 'close')
        self.end_headers()
        self.wfile.write(body[:len(body) // 2] if cut else body)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Keep the output of the tests clean."""


class Server(ThreadingHTTPServer):
    """An https server that remembers what it was asked."""

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(('127.0.0.1', 0), Handler)
        self.authority = trustme.CA()
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert('127.0.0.1').configure_cert(tls)
        self.socket = tls.wrap_socket(self.socket, server_side=True)
        self.files = files
        self.requests: list[tuple[str, str | None]] = []

    def url(self, path: str) -> str:
        return f'https://127.0.0.1:{self.server_port}/{path}'

    def trust(self) -> ssl.SSLContext:
        """Return what a client needs to trust this server."""
        context = ssl.create_default_context()
        self.authority.configure_trust(context)
        return context


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    monkeypatch.setenv('no_proxy', '127.0.0.1')
    with Server({'model.bin': DATA, 'empty': b''}) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def fetch(server, tmp_path):
    """Return a function that downloads a path of the server to ``tmp_path/target.bin``."""
    def run(path: str, sha256: str = SHA256, progress=None) -> Path:
        target = tmp_path / 'target.bin'
        download(server.url(path), target, sha256, tmp_path / 'parts', progress, server.trust())
        return target
    return run


def parts(tmp_path: Path) -> list[str]:
    return [path.name for path in (tmp_path / 'parts').iterdir()]


@pytest.mark.parametrize('path', ['whole/model.bin', 'norange/model.bin', 'nolength/model.bin',
                                  'https/model.bin'])
def test_download_gives_the_whole_file(fetch, tmp_path, path):
    assert fetch(path).read_bytes() == DATA
    assert parts(tmp_path) == []


def test_download_of_an_empty_file_works(fetch):
    assert fetch('whole/empty', hashlib.sha256().hexdigest()).read_bytes() == b''


def test_download_tells_its_progress(fetch):
    steps = []
    fetch('whole/model.bin', progress=lambda *step: steps.append(step))
    names, done, totals = zip(*steps, strict=True)
    assert set(names) == {'target.bin'}
    assert set(totals) == {len(DATA)}
    assert len(done) > 1
    assert list(done) == sorted(done)
    assert done[-1] == len(DATA)


@pytest.mark.parametrize(('manner', 'first_step'), [('whole', HALF), ('norange', 0)])
def test_download_after_a_cut_connection_goes_on(server, fetch, tmp_path, manner, first_step):
    with pytest.raises(DownloadError, match=f'ended after {HALF} bytes; expected {len(DATA)}; '
                                            'run the command again'):
        fetch('cut/model.bin')
    assert not (tmp_path / 'target.bin').exists()
    assert parts(tmp_path) == [SHA256]
    steps = []
    path = fetch(f'{manner}/model.bin', progress=lambda *step: steps.append(step))
    assert path.read_bytes() == DATA
    assert server.requests[-1] == (f'/{manner}/model.bin', f'bytes={HALF}-')
    assert first_step < steps[0][1] <= first_step + download_module.CHUNK_BYTES
    assert steps[-1][1:] == (len(DATA), len(DATA))
    assert parts(tmp_path) == []


def test_download_cut_twice_goes_on_from_the_second_end(server, fetch):
    for _ in range(2):
        with pytest.raises(DownloadError, match='connection ended'):
            fetch('cut/model.bin')
    assert fetch('whole/model.bin').read_bytes() == DATA
    assert [asked for _, asked in server.requests] == [
        None, f'bytes={HALF}-', f'bytes={HALF + HALF // 2}-']


def test_download_whose_part_is_whole_already_asks_for_nothing_more(server, fetch, tmp_path):
    (tmp_path / 'parts').mkdir()
    (tmp_path / 'parts' / SHA256).write_bytes(DATA)
    assert fetch('whole/model.bin').read_bytes() == DATA
    assert server.requests == [('/whole/model.bin', f'bytes={len(DATA)}-')]


@pytest.mark.parametrize('part', [b'', b'rotten' * 10, DATA + b'more'],
                         ids=['fresh', 'rotten', 'too long'])
def test_download_with_a_wrong_checksum_leaves_nothing(fetch, tmp_path, part):
    (tmp_path / 'parts').mkdir()
    wanted = SHA256 if part else 64 * '0'
    if part:
        (tmp_path / 'parts' / wanted).write_bytes(part)
    with pytest.raises(DownloadError, match=f'sha256 is [0-9a-f]{{64}}; expected {wanted}'):
        fetch('whole/model.bin', wanted)
    assert not (tmp_path / 'target.bin').exists()
    assert parts(tmp_path) == []


def test_download_over_http_is_refused_unasked(server, tmp_path):
    url = server.url('whole/model.bin').replace('https', 'http')
    with pytest.raises(DownloadError, match=f'{url}: expected an https address'):
        download(url, tmp_path / 'a', SHA256, tmp_path / 'parts')
    assert server.requests == []


def test_download_redirected_to_http_is_refused(server, fetch, tmp_path):
    with pytest.raises(DownloadError, match='http://127.0.0.1.*: expected an https address'):
        fetch('http/model.bin')
    assert server.requests == [('/http/model.bin', None)]
    assert parts(tmp_path) == []


def test_download_of_an_absent_file_says_so(fetch, tmp_path):
    with pytest.raises(DownloadError, match='whole/absent: Not Found'):
        fetch('whole/absent')
    assert parts(tmp_path) == []


def test_download_from_an_unknown_certificate_is_refused(server, tmp_path):
    with pytest.raises(DownloadError, match='CERTIFICATE_VERIFY_FAILED'):
        download(server.url('whole/model.bin'), tmp_path / 'a', SHA256, tmp_path / 'parts')
    assert server.requests == []


@pytest.mark.parametrize('name', ['caf\u00e9', 'a b'])
def test_download_from_an_address_that_is_none_is_refused(server, fetch, name):
    with pytest.raises(DownloadError, match=name):
        fetch(f'whole/{name}')
    assert server.requests == []


def test_download_from_a_server_that_is_not_there_says_so(server, fetch):
    server.shutdown()
    server.server_close()
    with pytest.raises(DownloadError, match='Connection refused'):
        fetch('whole/model.bin')


def test_download_of_more_than_a_model_can_be_is_stopped(fetch, monkeypatch, tmp_path):
    monkeypatch.setattr(download_module, 'MAX_BYTES', 100_000)
    with pytest.raises(DownloadError, match='more than 100000 bytes'):
        fetch('whole/model.bin')
    assert not (tmp_path / 'target.bin').exists()


@pytest.fixture
def published(server, tmp_path, monkeypatch) -> Path:
    """Put the card of model ``tiny`` in reach, its weights on the server; return its folder."""
    folder = write_tiny_nanodet(tmp_path / 'models' / 'tiny')
    change_card(folder, 'runtimes.onnx')
    (folder / 'model.onnx').unlink()
    contents = {role: (folder / f'model.{role}').read_bytes() for role in ('param', 'bin')}
    server.files.update({f'tiny.{role}': data for role, data in contents.items()})
    change_card(folder, 'runtimes.ncnn.url',
                {role: server.url(f'whole/tiny.{role}') for role in contents})
    change_card(folder, 'runtimes.ncnn.sha256',
                {role: hashlib.sha256(data).hexdigest() for role, data in contents.items()})
    for role in contents:
        (folder / f'model.{role}').unlink()
    certificate = tmp_path / 'authority.pem'
    server.authority.cert_pem.write_to_path(str(certificate))
    monkeypatch.setenv('SSL_CERT_FILE', str(certificate))
    monkeypatch.setenv('LITE_DETECTOR_MODELS', str(folder.parent))
    return folder


def cached() -> list[str]:
    return sorted(path.name for path in user_cache().iterdir() if path.name != '.partial')


def test_fetch_model_from_the_server_gives_a_model_that_detects(published):
    steps = []
    folder = fetch_model('tiny', progress=lambda *step: steps.append(step))
    assert folder == user_cache() / 'tiny'
    assert {name for name, _, _ in steps} == {'model.param', 'model.bin'}
    found = Detector.from_folder(folder, precision='fp32').detect(square_image(64, 96, 0, 32))
    np.testing.assert_allclose(found.boxes_xyxy, [[32, 0, 64, 32]], atol=1e-3)
    assert cached() == ['tiny']


def test_fetch_model_cut_off_in_the_second_file_appears_only_when_whole(server, published):
    change_card(published, 'runtimes.ncnn.url.bin', server.url('cut/tiny.bin'))
    with pytest.raises(DownloadError, match='connection ended'):
        fetch_model('tiny')
    assert cached() == []
    change_card(published, 'runtimes.ncnn.url.bin', server.url('whole/tiny.bin'))
    assert fetch_model('tiny') == user_cache() / 'tiny'
    assert server.requests[-1][1].startswith('bytes=')
    assert cached() == ['tiny']


def test_fetch_model_with_wrong_content_leaves_nothing(server, published):
    server.files['tiny.bin'] = server.files['tiny.bin'][::-1]
    with pytest.raises(DownloadError, match='tiny.bin: sha256 is'):
        fetch_model('tiny')
    assert cached() == []


def test_fetch_model_command_downloads_and_then_lists_as_ready(published, capsys):
    assert main(['fetch_model']) == 0
    assert 'no weights' in next(line for line in capsys.readouterr().out.splitlines()
                                if line.startswith('tiny '))
    assert main(['fetch_model', 'tiny']) == 0
    assert capsys.readouterr().out == f'tiny: {user_cache() / "tiny"}\n'
    assert main(['fetch_model']) == 0
    assert 'ready' in next(line for line in capsys.readouterr().out.splitlines()
                           if line.startswith('tiny '))


def test_fetch_model_command_that_fails_ends_with_one_line(server, published, capsys):
    change_card(published, 'runtimes.ncnn.url.param', server.url('whole/absent'))
    assert main(['fetch_model', 'tiny']) == 2
    error, = capsys.readouterr().err.splitlines()
    assert error.startswith('error: https://127.0.0.1:')
