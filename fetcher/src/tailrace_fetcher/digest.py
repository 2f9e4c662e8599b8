"""Checksums as the sources give them, and their computation while the bytes pass by.

The hub names an LFS file by its SHA-256 and any other by git's hash; S3 gives an MD5, for large uploads an MD5 of the
parts' MD5s. SHA-256 is always computed too: it goes into the manifest, so that whoever doubts a volume can check it.
"""

import hashlib
import re
from dataclasses import dataclass
from typing import Literal

DigestKind = Literal["sha256", "git-sha1", "md5", "md5-parts", "none"]

_SHA256 = re.compile(r"[0-9a-f]{64}")
_SHA1 = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class Digest:
    """What the source says about a file's content.

    `md5-parts` needs the size of the parts. `none` cannot be computed from the content: it only tells versions apart.
    """

    kind: DigestKind
    value: str
    part_bytes: int = 0

    def __str__(self) -> str:
        return f"{self.kind}:{self.value}"

    @property
    def doubtful(self) -> bool:
        """Whether the store may mean something else by it: an ETag is an MD5 by custom, not by promise."""
        return self.kind in ("md5", "md5-parts")


def of_etag(etag: str) -> Digest:
    """The digest that the hub's ETag is."""
    value = etag.removeprefix("W/").strip('"')
    if _SHA256.fullmatch(value):
        return Digest("sha256", value)
    return Digest("git-sha1", value) if _SHA1.fullmatch(value) else Digest("none", value)


class Hasher:
    """Computes a file's SHA-256 and its source's digest, chunk by chunk."""

    def __init__(self, digest: Digest, size: int | None) -> None:
        self._digest = digest
        self._sha256 = hashlib.sha256()
        self._other = _other(digest, size)

    def update(self, chunk: bytes | bytearray) -> None:
        """Take in the next bytes."""
        self._sha256.update(chunk)
        if self._other is not None:
            self._other.update(chunk)

    @property
    def sha256(self) -> str:
        """The SHA-256 of all bytes so far, in hex."""
        return self._sha256.hexdigest()

    def agrees(self) -> bool:
        """Whether all bytes so far are what the source says; true where it says nothing that can be checked."""
        if self._digest.kind == "none":
            return True
        return self._digest.value == (self.sha256 if self._other is None else self._other.hexdigest())


class PartsMd5:
    """S3's checksum of a multipart upload: the MD5 of the parts' MD5s, and their number."""

    def __init__(self, part_bytes: int) -> None:
        self._part_bytes = part_bytes
        self._done: list[bytes] = []
        self._part = hashlib.md5(usedforsecurity=False)
        self._filled = 0

    def update(self, chunk: bytes | bytearray) -> None:
        """Take in the next bytes."""
        view = memoryview(chunk)
        while view:
            piece = view[: self._part_bytes - self._filled]
            self._part.update(piece)
            self._filled += len(piece)
            view = view[len(piece) :]
            if self._filled == self._part_bytes:
                self._end_part()

    def _end_part(self) -> None:
        self._done.append(self._part.digest())
        self._part = hashlib.md5(usedforsecurity=False)
        self._filled = 0

    def hexdigest(self) -> str:
        """The checksum as S3 writes it, without quotes."""
        parts = [*self._done, self._part.digest()] if self._filled else self._done
        return f"{hashlib.md5(b''.join(parts), usedforsecurity=False).hexdigest()}-{len(parts)}"


def _other(digest: Digest, size: int | None) -> "hashlib._Hash | PartsMd5 | None":
    if digest.kind == "git-sha1":
        return hashlib.sha1(b"blob %d\0" % (size or 0), usedforsecurity=False)
    if digest.kind == "md5":
        return hashlib.md5(usedforsecurity=False)
    return PartsMd5(digest.part_bytes) if digest.kind == "md5-parts" else None
