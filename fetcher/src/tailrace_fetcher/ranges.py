"""Asking for the rest of a file, and understanding the answer; pure."""

import re
from collections.abc import Mapping
from enum import Enum

from tailrace_fetcher.retry import passes

_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


class Answer(Enum):
    """What a server's answer to a request for the rest means."""

    REST = "what was asked for follows"
    FROM_START = "the whole file follows: what is there must go"
    WRONG_RANGE = "it cannot continue here: begin anew"
    BUSY = "try again later"
    REFUSED = "it will not be given"


def headers_from(offset: int) -> dict[str, str]:
    """Headers that ask for a file from `offset` on, in the bytes that it is made of."""
    headers = {"accept-encoding": "identity"}
    return headers | {"range": f"bytes={offset}-"} if offset else headers


def judge(status: int, headers: Mapping[str, str], offset: int, size: int | None) -> Answer:
    """What to make of the answer to a request from `offset` for a file of `size` bytes."""
    if status == 200:
        return Answer.FROM_START
    if status == 206:
        return Answer.REST if _fits(headers.get("content-range", ""), offset, size) else Answer.WRONG_RANGE
    if status == 416:
        return Answer.WRONG_RANGE
    return Answer.BUSY if passes(status) else Answer.REFUSED


def _fits(content_range: str, offset: int, size: int | None) -> bool:
    found = _CONTENT_RANGE.fullmatch(content_range)
    if found is None or int(found.group(1)) != offset:
        return False
    return size is None or found.group(2) in ("*", str(size))
