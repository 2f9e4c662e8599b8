"""Arrivals that somebody recorded: `TIMESTAMP, ContextTokens, GeneratedTokens`, as CSV, plain or gzipped."""

import csv
import gzip
import random
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench.scaling.request import Request, service_s

_COLUMNS = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")


class TraceError(ValueError):
    """A trace that cannot be read; the message names the file, the line and the remedy."""


def read(path: Path) -> list[Request]:
    """The requests of a file, in the order of their arrival, from time 0 on. Raises `TraceError`."""
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            _check_columns(path, rows.fieldnames or ())
            stamped = [_parsed(path, number, row) for number, row in enumerate(rows, start=2)]
    except (OSError, UnicodeDecodeError, EOFError) as error:
        raise TraceError(f"{path}: cannot be read: {error}") from error
    if not stamped:
        raise TraceError(f"{path}: holds no requests; each line after the header is one")
    first = min(request.at for request in stamped)
    return sorted(Request(at - first, seconds) for at, seconds in stamped)


def faster(requests: Iterable[Request], times: float) -> list[Request]:
    """The same requests, arriving so many times as fast."""
    return [Request(at / times, seconds) for at, seconds in requests]


def multiplied(requests: Iterable[Request], copies: int, seed: int = 0) -> list[Request]:
    """Each request so many times; the copies come within a second of the first."""
    draw = random.Random(seed)
    return sorted(
        Request(at + (draw.uniform(0, 1) if copy else 0.0), seconds)
        for at, seconds in requests
        for copy in range(copies)
    )


def _check_columns(path: Path, found: Sequence[str]) -> None:
    missing = [column for column in _COLUMNS if column not in found]
    if missing:
        raise TraceError(f"{path}: no column {', '.join(missing)}; the first line must name {', '.join(_COLUMNS)}")


def _parsed(path: Path, number: int, row: Mapping[str, str | None]) -> Request:
    stamp, context, generated = (row[column] or "" for column in _COLUMNS)
    try:
        tokens = int(context), int(generated)
        at = _seconds(stamp)
    except ValueError as error:
        raise TraceError(
            f"{path}, line {number}: {error}; wanted: a time like 2023-11-16 18:17:03.98, and numbers"
        ) from error
    if min(tokens) < 0:
        raise TraceError(f"{path}, line {number}: tokens cannot be fewer than none")
    return Request(at, service_s(*tokens))


def _seconds(stamp: str) -> float:
    """Seconds since 1970. Python reads six digits after the point; the Azure traces have seven."""
    whole, point, rest = stamp.strip().partition(".")
    digits = rest[: len(rest) - len(rest.lstrip("0123456789"))] if rest else ""
    moment = datetime.fromisoformat(f"{whole}{point}{digits[:6].ljust(6, '0') if point else ''}{rest[len(digits) :]}")
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
