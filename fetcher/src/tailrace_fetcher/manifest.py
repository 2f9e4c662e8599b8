"""The manifest of a model's directory: what lies there, checked, and where it came from.

The same notation serves twice. While a download runs it is the journal of the files that are already whole and
verified; the journal of a finished download becomes `.tailrace-complete.json`.
"""

import os
from pathlib import Path

import msgspec

from tailrace_fetcher.inventory import RESERVED, RemoteFile

COMPLETE = f"{RESERVED}complete.json"
JOURNAL = f"{RESERVED}partial.json"


class StoredFile(msgspec.Struct, frozen=True):
    """A whole file: its size and SHA-256, and the checksum of the source that it was held against."""

    name: str
    size: int
    sha256: str
    expected: str

    def is_for(self, file: RemoteFile) -> bool:
        """Whether this is the content that the source offers now."""
        return self.expected == str(file.digest) and file.size in (None, self.size)


class Manifest(msgspec.Struct, frozen=True):
    """Whole files of one source. `revision` is what the source's revision stood for when it was fetched."""

    source: str
    revision: str
    files: list[StoredFile] = []
    v: int = 1


_decoder = msgspec.json.Decoder(Manifest)


def read_manifest(path: Path) -> Manifest | None:
    """The manifest in `path`, or `None` where there is none that can be read."""
    try:
        return _decoder.decode(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError, msgspec.MsgspecError):
        return None


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Put the manifest into `path`, whole or not at all, also when the power fails."""
    draft = path.with_name(f"{path.name}.new")
    with draft.open("wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def damage(manifest: Manifest, directory: Path) -> set[str]:
    """The names of files in `directory` that are missing or have another size than the manifest says."""
    return {file.name for file in manifest.files if _size(directory / file.name) != file.size}


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size if path.is_file() else None
    except OSError:
        return None
