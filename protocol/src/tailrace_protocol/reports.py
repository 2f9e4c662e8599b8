"""Reports: who is alive and what it carries, twice a second.

Leased, never incremented: a report replaces its sender's previous one and expires after `lease_s`, so that the
numbers of a crashed reporter vanish instead of leaking.
"""

from typing import Literal

import msgspec

from tailrace_protocol.wire import decode

WorkerState = Literal["starting", "loading", "ready", "draining", "failed"]


class WorkerReport(msgspec.Struct, frozen=True, omit_defaults=True):
    """One worker's state. `active` and `capacity` count streams; `progress` is a sentence for a waiting person."""

    worker: str
    namespace: str
    model: str
    state: WorkerState
    capacity: int = 0
    active: int = 0
    progress: str = ""
    lease_s: float = 2.0
    v: int = 1


class GatewayReport(msgspec.Struct, frozen=True, omit_defaults=True):
    """One gateway's state: open client connections, and per model (`<namespace>.<name>`) its own unfinished streams."""

    gateway: str
    connections: int = 0
    streams: dict[str, int] = {}
    lease_s: float = 2.0
    v: int = 1


_worker = msgspec.json.Decoder(WorkerReport)
_gateway = msgspec.json.Decoder(GatewayReport)


def decode_worker_report(data: bytes) -> WorkerReport:
    """The worker report in `data`.

    Raises:
        MalformedMessageError: bytes that are no worker report.
    """
    return decode(_worker, data)


def decode_gateway_report(data: bytes) -> GatewayReport:
    """The gateway report in `data`.

    Raises:
        MalformedMessageError: bytes that are no gateway report.
    """
    return decode(_gateway, data)
