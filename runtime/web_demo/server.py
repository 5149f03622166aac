"""The web server of the demo: for browsers on this machine, and only reading."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import shutil
import socketserver
import sys
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from hyperguide.errors import HyperguideError

from .page import PageFile, find

_LOOPBACK = "127.0.0.1"
_CHUNK = 1 << 16  # bytes; the time limit applies to each

_COMMON = {
    # The page is isolated from all others, so WebAssembly may use threads.
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Connection": "close",
}


class DemoServer(ThreadingHTTPServer):
    """Serves a page and the bundled models on 127.0.0.1, a thread for each connection."""

    # Elsewhere, the first would share a port that is taken; so would the second, everywhere.
    allow_reuse_address = os.name == "posix"
    allow_reuse_port = False

    def __init__(self, folder: Path, port: int, report: Callable[[str], None]) -> None:
        """Listen on a port. Raises HyperguideError if it cannot be used.

        folder: of the page, see `page_folder`. port: up to 65535; 0 takes a free one.
        report: called with a sentence, in any thread, if a file of the page cannot be shown.
        """
        try:
            super().__init__((_LOOPBACK, port), _Handler)
        except OSError as error:
            why = error.strerror or str(error)
            taken = error.errno == errno.EADDRINUSE
            wrong = "is taken by another program" if taken else f"cannot be used ({why})"
            raise HyperguideError(
                f"The port {port} {wrong}: give another one with --port, or 0 for any that is free."
            ) from None
        self.folder = folder
        self.report = report
        names = ("localhost", _LOOPBACK)
        self.hosts = {f"{name}:{self.server_port}" for name in names}
        if self.server_port == 80:  # which browsers leave out
            self.hosts |= set(names)

    @property
    def address(self) -> str:
        """Of the page, for a browser."""
        return f"http://localhost:{self.server_port}/"

    def server_bind(self) -> None:
        """Bind, without HTTPServer's look-up of this machine's name, which may take seconds."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = _LOOPBACK, self.socket.getsockname()[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing if a browser ended a download."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """One request."""

    server: DemoServer
    protocol_version = "HTTP/1.1"
    default_request_version = "HTTP/1.0"  # of broken requests, so that their answers have headers
    server_version, sys_version = "hyperguide", ""
    timeout = 30.0  # seconds in which nothing is received or sent

    def parse_request(self) -> bool:
        """Read the request; refuse writing, and other names of this machine.

        A name that an attacker's page makes lead here (DNS rebinding) would let it read answers.
        """
        if not super().parse_request():
            return False
        hosts = [host.lower() for host in self.headers.get_all("Host", [])]
        if len(hosts) != 1 or hosts[0] not in self.server.hosts:
            self.send_error(HTTPStatus.MISDIRECTED_REQUEST)
        elif self.command not in ("GET", "HEAD"):
            self.send_error(HTTPStatus.METHOD_NOT_ALLOWED)
        else:
            return True
        return False

    def do_GET(self) -> None:
        """Answer with a file."""
        file = find(self.server.folder, self.path)
        try:
            content = None if file is None else file.open()
        except OSError:
            content = None
        except HyperguideError as error:
            self.server.report(str(error))
            self.send_error(HTTPStatus.INTERNAL_SERVER_ERROR)
            return
        if file is None or content is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        with content:
            self._send(file, content)

    def do_HEAD(self) -> None:
        """Answer as to GET, without the content."""
        self.do_GET()

    def _send(self, file: PageFile, content: io.BufferedIOBase) -> None:
        """Send a file, or that the browser's copy is still right."""
        tag = None if file.is_fixed else f'"{hashlib.file_digest(content, "sha256").hexdigest()}"'
        length = content.seek(0, os.SEEK_END)
        content.seek(0)
        known = self.headers.get("If-None-Match", "").split(",")
        is_known = tag in {one.strip().removeprefix("W/") for one in known}
        self.send_response(HTTPStatus.NOT_MODIFIED if is_known else HTTPStatus.OK)
        if tag is None:
            self.send_header("Cache-Control", "max-age=31536000, immutable")
        else:
            self.send_header("Cache-Control", "no-cache")
            self.send_header("ETag", tag)
        if not is_known:
            self.send_header("Content-Type", file.content_type)
            self.send_header("Content-Length", str(length))
        self.end_headers()
        if self.command == "GET" and not is_known:
            shutil.copyfileobj(content, self.wfile, _CHUNK)

    def send_response(self, code: int, message: str | None = None) -> None:
        """Begin an answer with the headers that all have."""
        super().send_response(code, message)
        for name, value in _COMMON.items():
            self.send_header(name, value)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer with a status, as text."""
        text = f"{HTTPStatus(code).phrase}.\n".encode()
        self.send_response(code)
        if code == HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET, HEAD")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    def log_message(self, format: str, *words: Any) -> None:
        """Print nothing."""
