"""Asking for the rest of a file, and understanding the answer; pure."""

import re
from collections.abc import Mapping
from enum import Enum

from tailrace_fetcher.retry import passes

_CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)")


class Answer(Enum):
    """What a server's answer to a request for the rest means."""

    REST = "what was asked for follows"
    FROM_START = "the whole file follows: what is there must go"
    OTHER_SIZE = "it is not the file that the source announced"
    WRONG_RANGE = "it cannot continue here: begin anew"
    BUSY = "try again later"
    REFUSED = "it will not be given"


def headers_from(offset: int) -> dict[str, str]:
    """Headers that ask for a file from `offset` on, in the bytes that it is made of."""
    headers = {"accept-encoding": "identity"}
    return headers | {"range": f"bytes={offset}-"} if offset else headers


def judge(status: int, headers: Mapping[str, str], offset: int, size: int | None) -> Answer:
    """What to make of the answer to a request from `offset` for a file of `size` bytes."""
    if status in (200, 206, 416) and size is not None and whole_size(status, headers) not in (None, size):
        return Answer.OTHER_SIZE
    if status == 200:
        return Answer.FROM_START
    if status == 206:
        return Answer.REST if _start(headers) == offset else Answer.WRONG_RANGE
    if status == 416:
        return Answer.WRONG_RANGE
    return Answer.BUSY if passes(status) else Answer.REFUSED


def whole_size(status: int, headers: Mapping[str, str]) -> int | None:
    """The whole file's size, where the answer tells it."""
    if status == 200:
        length = headers.get("content-length", "")
        return int(length) if length.isdecimal() and "content-encoding" not in headers else None
    found = _CONTENT_RANGE.fullmatch(headers.get("content-range", ""))
    return int(found.group(2)) if found and found.group(2) != "*" else None


def _start(headers: Mapping[str, str]) -> int | None:
    found = _CONTENT_RANGE.fullmatch(headers.get("content-range", ""))
    return int(found.group(1)) if found and found.group(1) else None
