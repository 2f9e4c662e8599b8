"""A streaming client that costs little and forgives nothing: every id must follow the one before.

It is a bare asyncio protocol over httptools, since an ordinary HTTP client costs more per event than what is
measured. Each stream knows what it must receive, and says what was wrong when it did not.
"""

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import urlsplit

import httptools

_MADE = b'"made_ns":'


@dataclass(slots=True)
class Target:
    """Where to send a request: the server, and the model that it knows."""

    url: str
    model: str
    headers: dict[str, str] = field(default_factory=dict)

    def request(self, tokens: int, prompt: str) -> bytes:
        """The bytes of one streaming chat request for `tokens` tokens, each stamped with when it was made."""
        body = json.dumps(
            {
                "model": self.model,
                "messages": [{"role": "user", "content": prompt}],
                "stream": True,
                "max_tokens": tokens,
                "timestamps": True,
            }
        )
        lines = [
            "POST /v1/chat/completions HTTP/1.1",
            f"Host: {urlsplit(self.url).netloc}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            *(f"{name}: {value}" for name, value in self.headers.items()),
        ]
        return "\r\n".join([*lines, "", body]).encode()

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        parts = urlsplit(self.url)
        return parts.hostname or "127.0.0.1", parts.port or 80


@dataclass(slots=True)
class Counter:
    """What all streams of a load count together, so that a window can be cut out of it."""

    events: int = 0
    open_streams: int = 0
    delays_ns: list[int] = field(default_factory=list)
    keep_delays: bool = False


class Stream(asyncio.Protocol):
    """One response, followed to its end. `trace` keeps when and what each event was; without it nothing is kept."""

    def __init__(self, request: bytes, tokens: int, counter: Counter, *, trace: bool = False) -> None:
        self.finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.begun_ns = time.monotonic_ns()
        self.first_token_ns = 0
        self.status = 0
        self.last_id = 0
        self.trace: list[tuple[int, bytes]] | None = [] if trace else None
        self._request = request
        self._expected = tokens + 1
        self._counter = counter
        self._parser = httptools.HttpResponseParser(self)
        self._rest = b""
        self._trouble = ""
        self._done = False
        self._transport: asyncio.Transport | None = None

    @property
    def trouble(self) -> str:
        """Why this stream was not what it had to be; empty when it was."""
        if self.status != 200:
            return f"status {self.status}: {self._rest[:200].decode(errors='replace')}"
        if self._trouble:
            return self._trouble
        if not self._done or self.last_id != self._expected:
            return f"ended at event {self.last_id} of {self._expected}"
        return ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the request."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Feed the HTTP parser, which calls the methods below."""
        self._parser.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """The response is over, well or not."""
        if not self.finished.done():
            self.finished.set_result(None)

    def on_headers_complete(self) -> None:
        """The status is known."""
        self.status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        """Count the events that are complete."""
        now = time.monotonic_ns()
        *events, self._rest = (self._rest + body).split(b"\n\n") if self._rest else body.split(b"\n\n")
        if self.status == 200:
            for event in events:
                self._take(event, now)

    def on_message_complete(self) -> None:
        """The server ended the response."""
        if self._transport is not None:
            self._transport.close()

    def _take(self, event: bytes, now: int) -> None:
        while event.startswith(b":"):
            event = event.partition(b"\n")[2]
        if self.trace is not None:
            self.trace.append((now, event))
        if not event.startswith(b"id: "):
            return
        end = event.index(b"\n")
        number = int(event[4:end])
        if event.endswith(b"[DONE]"):
            self._done = True
            return
        if number != self.last_id + 1:
            self._trouble = self._trouble or f"event {number} came after event {self.last_id}"
        self.last_id = number
        self._counter.events += 1
        self._time(event, number, now)

    def _time(self, event: bytes, number: int, now: int) -> None:
        if number == 2:
            self.first_token_ns = now - self.begun_ns
        if self._counter.keep_delays and (at := event.rfind(_MADE)) > 0:
            self._counter.delays_ns.append(now - int(event[at + len(_MADE) : event.index(b"}", at)]))


async def follow(target: Target, tokens: int, prompt: str, counter: Counter, *, trace: bool = False) -> Stream:
    """Open a stream and follow it to its end."""
    stream = Stream(target.request(tokens, prompt), tokens, counter, trace=trace)
    counter.open_streams += 1
    try:
        await asyncio.get_running_loop().create_connection(lambda: stream, *target.address)
        await stream.finished
    finally:
        counter.open_streams -= 1
    return stream
