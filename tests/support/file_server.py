"""A web server over loopback that serves byte ranges, misbehaves on demand, and remembers what was asked of it."""

import re
import ssl
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

STEP = 64 * 1024


@dataclass
class Asked:
    """One request: what was asked, what was answered, and how many bytes of the body went out."""

    method: str
    path: str
    start: int
    authorization: str
    status: int = 0
    sent: int = 0


@dataclass
class Page:
    """What to answer: a body, or a file of which ranges may be asked."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    file: Path | None = None


@dataclass
class Faults:
    """How the server misbehaves. Faults of files do not touch other pages.

    `statuses` are answered first, in turn. `drop_after` bytes the connection breaks, `drops` times. `corrupt` flips
    the byte there, in the first `corruptions` answers that hold it. `bytes_per_s` limits the pace.
    """

    statuses: deque[tuple[int, dict[str, str]]] = field(default_factory=deque)
    drop_after: int = 0
    drops: int = 0
    corrupt: int = -1
    corruptions: int = 0
    bytes_per_s: float = 0.0
    no_ranges: bool = False
    shifted_ranges: int = 0
    all_pages: bool = False


class FileServer:
    """Serves `root` below `/files/`. A subclass overrides `page`."""

    def __init__(self, root: Path, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        self.root = root
        self.tls = tls
        self.host = host
        self.faults = Faults()
        self.asked: list[Asked] = []
        self.port = 0

    @property
    def url(self) -> str:
        return f"{'http' if self.tls is None else 'https'}://{self.host}:{self.port}"

    def page(self, path: str, query: dict[str, list[str]], authorization: str) -> Page:
        file = self.root / path.removeprefix("/files/")
        return Page(file=file) if path.startswith("/files/") and file.is_file() else Page(404)

    def of_files(self) -> list[Asked]:
        """The requests that were answered with a file."""
        return [
            asked for asked in self.asked if asked.status in (200, 206) and asked.method == "GET" and asked.sent > 1
        ]

    @contextmanager
    def running(self) -> Iterator["FileServer"]:
        server = _Server((self.host, 0), _Handler)
        server.owner = self
        if self.tls is not None:
            server.socket = self.tls.wrap_socket(server.socket, server_side=True)
        self.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join(10)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    owner: FileServer

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that go away are part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        owner, parts = self.server.owner, urlsplit(self.path)
        start = int(found.group(1)) if (found := re.match(r"bytes=(\d+)-", self.headers.get("range", ""))) else -1
        asked = Asked(self.command, self.path, max(0, start), self.headers.get("authorization", ""))
        owner.asked.append(asked)
        page = owner.page(unquote(parts.path), parse_qs(parts.query), asked.authorization)
        faulty = page.file is not None or owner.faults.all_pages
        if faulty and owner.faults.statuses:
            status, headers = owner.faults.statuses.popleft()
            page = Page(status, headers)
        if page.file is None:
            self._send(asked, page.status, page.headers, page.body)
        else:
            self._send_file(asked, page, start)

    def _send(self, asked: Asked, status: int, headers: dict[str, str], body: bytes) -> None:
        asked.status = status
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _send_file(self, asked: Asked, page: Page, start: int) -> None:
        assert page.file is not None
        faults, size = self.server.owner.faults, page.file.stat().st_size
        ranged = start >= 0 and not faults.no_ranges
        if ranged and start >= size:
            self._send(asked, 416, {"Content-Range": f"bytes */{size}"}, b"")
            return
        first = (start + faults.shifted_ranges if start else 0) if ranged else 0
        last = 0 if ranged and self.headers["range"].endswith("-0") else size - 1
        headers = {**page.headers, "Content-Length": str(last - first + 1 if size else 0)}
        if ranged:
            headers["Content-Range"] = f"bytes {first}-{last}/{size}"
        asked.status = 206 if ranged else page.status
        self.send_response(asked.status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD" and size:
            self._send_bytes(asked, page.file, first, last)

    def _send_bytes(self, asked: Asked, path: Path, first: int, last: int) -> None:
        faults = self.server.owner.faults
        with path.open("rb") as file:
            file.seek(first)
            at = first
            while at <= last:
                if last > first and faults.drops and faults.drop_after <= at - first:
                    faults.drops -= 1
                    self.close_connection = True
                    self.connection.close()
                    return
                chunk = bytearray(file.read(min(STEP, last + 1 - at)))
                if faults.corruptions and at <= faults.corrupt < at + len(chunk) and last > first:
                    chunk[faults.corrupt - at] ^= 1
                    faults.corruptions -= 1
                self.wfile.write(chunk)
                at += len(chunk)
                asked.sent += len(chunk)
                if faults.bytes_per_s:
                    time.sleep(len(chunk) / faults.bytes_per_s)
