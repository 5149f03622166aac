"""`hyperguide demo`: what its web server answers, and to whom."""

from __future__ import annotations

import lzma
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest

from conftest import Cli, fails
from hyperguide.errors import HyperguideError
from hyperguide.model_format.bundled import FOLDER, bundled_models
from hyperguide.web_demo import page as page_module
from hyperguide.web_demo import server as server_module
from hyperguide.web_demo.page import find, page_folder
from hyperguide.web_demo.server import DemoServer

PATIENCE = 600  # seconds until a test that hangs fails

CONTENTS = {
    "index.html": b"<!doctype html><title>A page</title>",
    "sw.js": b"self.skipWaiting();",
    "icon.svg": b"<svg/>",
    "app.webmanifest": b"{}",
    "examples/rain.jpg": b"\xff\xd8\xff",
    "examples/haze.webp": b"RIFF",
    "examples/noise.png": b"\x89PNG",
    "examples/list.json": b"[]",
    "assets/index-B1_x-y.js": b"import './a.js';",
    "assets/index-C2.css": b"body {}",
    "assets/plain-D3.wasm": b"\0asm plain",
    "assets/other.bin": b"\0",
}
UNPACKED = b"\0asm" + bytes(range(256)) * 5000

ISOLATED = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


def build(around: Path) -> Path:
    """A small page, beside a file that is none of its."""
    folder = around / "page"
    for name, content in CONTENTS.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (folder / "assets" / "packed-E4.wasm.xz").write_bytes(lzma.compress(UNPACKED))
    (folder / ".hidden").write_text("secret")
    (around / "secret.txt").write_text("secret")
    return folder


@dataclass(frozen=True)
class Running:
    """A server in a thread of this process."""

    server: DemoServer
    reports: list[str]

    @property
    def port(self) -> int:
        return self.server.server_port

    def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[HTTPResponse, bytes]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, headers=named)
        response = connection.getresponse()
        content = response.read()
        connection.close()
        return response, content

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)

    def send(self, request: bytes) -> bytes:
        """What is answered to bytes, until the server closes the connection."""
        with self.connect() as connection:
            connection.sendall(request)
            return b"".join(iter(lambda: connection.recv(1 << 16), b""))

    def raw(self, target: bytes) -> bytes:
        """The answer to a path that no client has made tidy."""
        return self.send(b"GET %b HTTP/1.1\r\nHost: localhost:%d\r\n\r\n" % (target, self.port))


@contextmanager
def serving(page: Path) -> Iterator[Running]:
    reports: list[str] = []
    with DemoServer(page_folder(page), 0, reports.append) as server:
        server.daemon_threads = False  # closing waits for them
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield Running(server, reports)
        server.shutdown()
        thread.join()


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """A page that the test may change."""
    return build(tmp_path)


@pytest.fixture
def changeable(page: Path) -> Iterator[Running]:
    """A server of that page."""
    with serving(page) as running:
        yield running


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server of a page that stays as it is."""
    folder = build(tmp_path_factory.mktemp("built"))
    (folder / "out").symlink_to(folder.parent)
    (folder / "link.txt").symlink_to(folder.parent / "secret.txt")
    (folder / "loop.txt").symlink_to(folder / "loop.txt")
    with serving(folder) as running:
        yield running


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/index.html", "text/html; charset=utf-8"),
        ("/sw.js", "text/javascript; charset=utf-8"),
        ("/icon.svg", "image/svg+xml"),
        ("/app.webmanifest", "application/manifest+json"),
        ("/examples/rain.jpg", "image/jpeg"),
        ("/examples/haze.webp", "image/webp"),
        ("/examples/noise.png", "image/png"),
        ("/examples/list.json", "application/json"),
        ("/assets/index-B1_x-y.js", "text/javascript; charset=utf-8"),
        ("/assets/index-C2.css?v=1", "text/css; charset=utf-8"),
        ("/assets/plain-D3.wasm", "application/wasm"),
        ("/assets/other.bin", "application/octet-stream"),
    ],
)
def test_files_of_the_page_have_their_types(running: Running, path: str, content_type: str) -> None:
    response, content = running.ask(path)
    assert response.status == 200
    assert response.headers["Content-Type"] == content_type
    name = "index.html" if path == "/" else path[1:].partition("?")[0]
    assert content == CONTENTS[name]


def test_webassembly_that_is_packed_is_sent_unpacked(running: Running) -> None:
    response, content = running.ask("/assets/packed-E4.wasm")
    assert response.headers["Content-Type"] == "application/wasm"
    assert int(response.headers["Content-Length"]) == len(UNPACKED)
    assert content == UNPACKED


@pytest.mark.parametrize("damage", ["cut", "changed", "too large"])
def test_packed_files_that_cannot_be_unpacked_are_reported(
    changeable: Running, page: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    path = page / "assets" / "packed-E4.wasm.xz"
    packed = bytearray(path.read_bytes())
    if damage == "too large":
        monkeypatch.setattr(page_module, "_LIMIT", len(UNPACKED) // 2)
    elif damage == "cut":
        del packed[len(packed) // 2 :]
    else:
        packed[len(packed) // 2] ^= 1
    path.write_bytes(packed)
    assert changeable.ask("/assets/packed-E4.wasm")[0].status == 500
    assert len(changeable.reports) == 1
    assert str(path) in changeable.reports[0]


def test_a_python_without_lzma_is_told_so(
    changeable: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lzma", None)
    assert changeable.ask("/assets/packed-E4.wasm")[0].status == 500
    assert "built without lzma" in changeable.reports[0]
    assert changeable.ask("/assets/plain-D3.wasm")[0].status == 200


def test_bundled_models_are_sent_bit_for_bit(running: Running) -> None:
    assert bundled_models()
    for path in bundled_models():
        response, content = running.ask(f"/models/{path.name}")
        assert response.status == 200
        assert response.headers["Content-Type"] == "application/octet-stream"
        assert content == path.read_bytes()


def test_the_folder_of_the_models_gives_nothing_else(changeable: Running, page: Path) -> None:
    (page / "models").mkdir()
    (page / "models" / "own.onnx").write_bytes(b"own")
    others = [path.name for path in FOLDER.iterdir() if path.suffix != ".onnx"]
    assert others
    for name in (*others, "own.onnx", "denoise-fast", "DENOISE-FAST.ONNX", "x/denoise-fast.onnx"):
        assert changeable.ask(f"/models/{name}")[0].status == 404


@pytest.mark.parametrize(
    "path", ["/", "/assets/packed-E4.wasm", "/models/denoise-fast.onnx", "/no"]
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_every_answer_isolates_the_page(running: Running, path: str, method: str) -> None:
    response, _ = running.ask(path, method)
    assert ISOLATED.items() <= dict(response.headers).items()


def test_protocol_errors_are_answered_with_the_same_headers(running: Running) -> None:
    for request in (
        b"GET / HTTP/9.9\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"GET /%b\r\n" % (b"a" * 70000),
    ):
        head, _, _ = running.send(request).partition(b"\r\n\r\n")
        assert head.startswith((b"HTTP/1.1 505", b"HTTP/1.1 400", b"HTTP/1.1 414"))
        for name, value in ISOLATED.items():
            assert f"{name}: {value}".encode() in head


def test_head_tells_what_get_would_without_the_content(running: Running) -> None:
    for path in ("/", "/sw.js", "/assets/packed-E4.wasm", "/models/denoise-fast.onnx", "/no"):
        (got, content), (told, nothing) = running.ask(path), running.ask(path, "HEAD")
        assert (told.status, nothing) == (got.status, b"")
        assert int(told.headers["Content-Length"]) == len(content)
        assert {*told.headers.items()} - {("Date", told.headers["Date"])} == {
            *got.headers.items()
        } - {("Date", got.headers["Date"])}


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"])
def test_nothing_but_reading_is_allowed(running: Running, method: str) -> None:
    response, _ = running.ask("/", method)
    assert response.status == 405
    assert response.headers["Allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    "path", ["/no", "/assets", "/assets/", "/examples", "/index.html/", "/.hidden"]
)
def test_what_is_no_file_of_the_page_is_not_found(running: Running, path: str) -> None:
    assert running.ask(path)[0].status == 404


@pytest.mark.parametrize(
    "target",
    [
        b"/../secret.txt",
        b"/assets/../../secret.txt",
        b"/assets/../index.html",
        b"/%2e%2e/secret.txt",
        b"/..%2fsecret.txt",
        b"/%252e%252e/secret.txt",
        b"/..\\secret.txt",
        b"/%5c..%5csecret.txt",
        b"/models/../index.html",
        b"/models/../../errors.py",
        b"/models/%2e%2e/%2e%2e/errors.py",
        b"//etc/passwd",
        b"/%2fetc/passwd",
        b"/%2Fetc%2Fpasswd",
        b"///etc/passwd",
        b"file:///etc/passwd",
        b"http://localhost/index.html",
        b"secret.txt",
        b"*",
        b"/index.html%00",
        b"/index.html%00.js",
        b"/secret%00/../../secret.txt",
        b"/index.html::$DATA",
        b"/C:/secret.txt",
        b"/index.html%0a",
        b"/\xff",
        b"/%ff",
        b"/%",
        b"/./index.html",
        b"/" + b"a" * 5000,
        b"/" + b"a/" * 5000 + b"a",
        b"/out/secret.txt",
        b"/link.txt",
        b"/loop.txt",
    ],
)
def test_nothing_outside_the_page_is_found(running: Running, target: bytes) -> None:
    answer = running.raw(target)
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert b"secret" not in answer


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_special_files_are_not_opened(changeable: Running, page: Path) -> None:
    os.mkfifo(page / "pipe.txt")
    assert changeable.ask("/pipe.txt")[0].status == 404


def test_links_within_the_page_are_followed(changeable: Running, page: Path) -> None:
    (page / "same.css").symlink_to(page / "assets" / "index-C2.css")
    assert changeable.ask("/same.css")[1] == CONTENTS["assets/index-C2.css"]


def test_a_page_behind_a_link_is_shown(page: Path) -> None:
    (page.parent / "link").symlink_to(page)
    assert find(page_folder(page.parent / "link"), "/sw.js")


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "LOCALHOST"])
def test_this_machine_is_answered_by_either_name(running: Running, name: str) -> None:
    assert running.ask("/", Host=f"{name}:{running.port}")[0].status == 200


@pytest.mark.parametrize(
    "host",
    [
        "attacker.example:{port}",
        "localhost.attacker.example:{port}",
        "localhost",
        "localhost:1",
        "127.0.0.1:{port}:{port}",
        "attacker.example@localhost:{port}",
        "0.0.0.0:{port}",
        "",
    ],
)
@pytest.mark.parametrize("path", ["/", "/models/denoise-fast.onnx", "/no"])
def test_other_names_of_this_machine_are_refused(running: Running, host: str, path: str) -> None:
    """A page of an attacker whose name leads to 127.0.0.1 (DNS rebinding)."""
    response, content = running.ask(path, Host=host.format(port=running.port))
    assert response.status == 421
    assert content == b"Misdirected Request.\n"


def test_requests_without_one_host_are_refused(running: Running) -> None:
    host = b"Host: localhost:%d\r\n" % running.port
    for headers in (b"", host + b"Host: attacker.example\r\n", host * 2):
        answer = running.send(b"GET / HTTP/1.1\r\n" + headers + b"\r\n")
        assert answer.startswith(b"HTTP/1.1 421 ")
    assert b"A page" not in running.send(b"GET /\r\n\r\n")


def test_only_this_machine_can_connect(running: Running) -> None:
    assert running.server.socket.getsockname()[0] == "127.0.0.1"
    assert running.server.address == f"http://localhost:{running.port}/"


@pytest.mark.parametrize(
    "path", ["/", "/sw.js", "/examples/rain.jpg", "/models/denoise-fast.onnx", "/assets/a.html"]
)
def test_what_may_change_is_asked_for_again_and_sent_if_it_did(
    changeable: Running, page: Path, path: str
) -> None:
    (page / "assets" / "a.html").write_text("a")
    first, _ = changeable.ask(path)
    assert first.headers["Cache-Control"] == "no-cache"
    tag = first.headers["ETag"]
    for known in (tag, f'"x", W/{tag}'):
        response, content = changeable.ask(path, If_None_Match=known)
        assert (response.status, content) == (304, b"")
        assert response.headers["ETag"] == tag
        assert ISOLATED.items() <= dict(response.headers).items()
    assert changeable.ask(path, If_None_Match='"x"')[0].status == 200
    if path == "/sw.js":
        stat = (page / "sw.js").stat()
        (page / "sw.js").write_bytes(CONTENTS["sw.js"].swapcase())
        os.utime(page / "sw.js", ns=(stat.st_atime_ns, stat.st_mtime_ns))
        response, content = changeable.ask(path, If_None_Match=tag)
        assert (response.status, content) == (200, CONTENTS["sw.js"].swapcase())


def test_what_has_a_hash_in_its_name_is_kept(running: Running) -> None:
    for path in ("/assets/index-B1_x-y.js", "/assets/packed-E4.wasm"):
        assert running.ask(path)[0].headers["Cache-Control"] == "max-age=31536000, immutable"


def test_slow_clients_do_not_hold_up_others(running: Running) -> None:
    with running.connect() as silent, running.connect() as slow, running.connect() as greedy:
        slow.sendall(b"GET / HTTP/1.1\r\nHost: local")
        request = b"GET /assets/packed-E4.wasm HTTP/1.1\r\nHost: localhost:%d\r\n\r\n"
        greedy.sendall(request % running.port)  # and never reads
        assert running.ask("/")[0].status == 200
        slow.sendall(b"host:%d\r\n\r\n" % running.port)
        assert slow.recv(12) == b"HTTP/1.1 200"
        silent.close()


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: local"])
def test_clients_that_say_nothing_more_are_hung_up_on(
    running: Running, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    assert server_module._Handler.timeout > 0
    monkeypatch.setattr(server_module._Handler, "timeout", 0.01)
    assert running.send(sent) == b""


def test_too_many_headers_are_refused(running: Running) -> None:
    answer = running.send(b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 431 ")


def test_a_download_that_is_broken_off_prints_nothing(
    page: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (page / "large.png").write_bytes(bytes(50_000_000))
    with serving(page) as running:
        with running.connect() as connection:
            host = b"Host: localhost:%d" % running.port
            connection.sendall(b"GET /large.png HTTP/1.1\r\n" + host + b"\r\n\r\n")
            assert connection.recv(12) == b"HTTP/1.1 200"
            # Closing resets the connection.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert running.ask("/")[0].status == 200
    assert capfd.readouterr() == ("", "")


def test_a_port_that_is_taken_is_one_sentence(running: Running, page: Path, quick_cli: Cli) -> None:
    port = running.port
    fails(quick_cli("demo", "--page", page, "--port", port), f"port {port} is taken", "--port")


def test_an_installation_without_a_page_says_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick_cli: Cli
) -> None:
    monkeypatch.setattr(page_module, "PACKAGED", tmp_path / "none")
    fails(quick_cli("demo"), "no web page", "make web", "--page bindings/web/build/page")


def test_the_page_of_the_package_is_shown_if_it_has_one(
    page: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_module, "PACKAGED", page)
    assert page_folder() == Path(os.path.realpath(page))


def test_a_folder_without_a_page_is_one_sentence(quick_cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "odd" / "index.html").mkdir(parents=True)
    for name, words in {
        "empty": "has no index.html",
        "odd": "has no index.html",
        "file": "is not a folder",
        "none": "is not a folder",
    }.items():
        fails(quick_cli("demo", "--page", tmp_path / name), str(tmp_path / name), words)
    with pytest.raises(HyperguideError):
        page_folder(tmp_path / "empty")


@pytest.mark.parametrize("port", ["-1", "65536", "http"])
def test_ports_that_cannot_be_are_wrong_usage(quick_cli: Cli, page: Path, port: str) -> None:
    assert quick_cli("demo", "--page", page, "--port", port).code == 2


def test_the_command_serves_until_it_is_interrupted(page: Path) -> None:
    script = f"""
import signal
from hyperguide.cli.main import run
signal.signal(signal.SIGINT, signal.default_int_handler)  # shells let jobs behind them ignore it
run(["demo", "--page", {str(page)!r}, "--port", "0"])
"""
    command = [sys.executable, "-c", script]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout
        line = run.stdout.readline()
        assert line.startswith("Open http://localhost:")
        port = int(line.split("/ ")[0].rpartition(":")[2])
        connection = HTTPConnection("localhost", port, timeout=PATIENCE)
        connection.request("GET", "/")
        assert connection.getresponse().read() == CONTENTS["index.html"]
        run.send_signal(signal.SIGINT)
        rest, errors = run.communicate(timeout=PATIENCE)
    assert (run.returncode, rest, errors) == (0, "", "")


def test_the_browser_is_opened_if_wanted(
    page: Path, monkeypatch: pytest.MonkeyPatch, quick_cli: Cli
) -> None:
    opened: list[str] = []
    told = threading.Event()

    def browse(address: str) -> bool:
        opened.append(address)
        told.set()
        return False

    def serve(server: DemoServer) -> None:
        assert told.wait(PATIENCE)
        raise KeyboardInterrupt

    monkeypatch.setattr("webbrowser.open", browse)
    monkeypatch.setattr(DemoServer, "serve_forever", serve)
    result = quick_cli("demo", "--page", page, "--port", 0, "--open")
    assert result.code == 0
    assert result.out == f"Open {opened[0]} (Ctrl-C ends it)\n"
    assert opened[0].startswith("http://localhost:")
