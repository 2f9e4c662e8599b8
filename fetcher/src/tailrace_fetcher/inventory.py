"""What a source holds: the files to fetch, with sizes and checksums, at one fixed revision."""

from dataclasses import dataclass

from tailrace_fetcher.digest import Digest
from tailrace_fetcher.failure import FailureCode, FetchError

#: What the fetcher's own files on a volume begin with.
RESERVED = ".tailrace-"
_NAME_BYTES = 255


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file, by its name below the model's directory. `size` is `None` where the source does not tell."""

    name: str
    size: int | None
    digest: Digest


@dataclass(frozen=True, slots=True)
class Inventory:
    """All that will be fetched. `revision` fixes the content, where a source has revisions."""

    source: str
    revision: str
    files: tuple[RemoteFile, ...]

    @property
    def size(self) -> int:
        """Bytes of all files whose sizes are known."""
        return sum(file.size or 0 for file in self.files)


def check_name(name: str) -> str:
    """`name`, if it stays inside the model's directory on any file system.

    Raises:
        FetchError: `bad_source`.
    """
    parts = name.split("/")
    if any(_bad_part(part) for part in parts) or name.startswith(RESERVED):
        raise FetchError(
            FailureCode.BAD_SOURCE,
            f"the source holds a file named {name!r}, which must not be written: use relative names without '..', "
            f"control characters or a leading {RESERVED!r}",
        )
    return name


def _bad_part(part: str) -> bool:
    strange = any(not letter.isprintable() or letter == "\\" for letter in part)
    return part in ("", ".", "..") or strange or len(part.encode(errors="replace")) > _NAME_BYTES
