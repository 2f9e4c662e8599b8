"""A file that is being downloaded: its bytes on the volume, and the checksum of all bytes up to now.

Bytes are written at their position, and the part's name holds the content's identity. So even if two fetchers worked
on one volume at the same time, both would write the same bytes to the same places.
"""

import hashlib
import os
from pathlib import Path

from tailrace_fetcher.digest import Hasher
from tailrace_fetcher.inventory import RemoteFile

_READ_BYTES = 1 << 20


def part_name(file: RemoteFile) -> str:
    """The part's name: another content of the same name has another one."""
    return hashlib.sha256(f"{file.name}\0{file.size}\0{file.digest}".encode()).hexdigest()[:32]


class PartFile:
    """Blocking; use it from one thread at a time."""

    def __init__(self, path: Path, file: RemoteFile) -> None:
        self._path = path
        self.file = file
        self._descriptor = -1
        self._begin()

    def _begin(self) -> None:
        self.offset = 0
        self._hasher = Hasher(self.file.digest, self.file.size)

    def __enter__(self) -> "PartFile":
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        found = os.fstat(self._descriptor).st_size
        if found and (self.file.size is None or found > self.file.size):
            self.restart()  # nothing to continue: the rest cannot be asked for
        return self

    def __exit__(self, *_: object) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def recall(self, limit_bytes: int) -> bool:
        """Take up to `limit_bytes` that an earlier run left into the checksum; whether there are more."""
        end = self.offset + limit_bytes
        while self.offset < end:
            chunk = os.pread(self._descriptor, min(_READ_BYTES, end - self.offset), self.offset)
            if not chunk:
                return False
            self._hasher.update(chunk)
            self.offset += len(chunk)
        return True

    def append(self, chunk: bytes | bytearray) -> None:
        """Write the next bytes.

        Raises:
            OSError: the volume is full, or broken.
        """
        view, at = memoryview(chunk), self.offset
        while view:
            written = os.pwrite(self._descriptor, view, at)
            view, at = view[written:], at + written
        self._hasher.update(chunk)
        self.offset = at

    def restart(self) -> None:
        """Forget all bytes."""
        os.ftruncate(self._descriptor, 0)
        self._begin()

    @property
    def overlong(self) -> bool:
        """Whether there are more bytes than the file has."""
        return self.file.size is not None and self.offset > self.file.size

    @property
    def whole(self) -> bool:
        """Whether all bytes are there; unknown sizes are whole when the source says so."""
        return self.file.size is None or self.offset == self.file.size

    @property
    def sha256(self) -> str:
        """The SHA-256 of the bytes so far."""
        return self._hasher.sha256

    def agrees(self) -> bool:
        """Whether the bytes are what the source promised."""
        return self.whole and self._hasher.agrees()

    def keep_as(self, path: Path) -> None:
        """Make the part a file of the model: on the disk for sure, then under its name."""
        os.fsync(self._descriptor)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path.replace(path)
