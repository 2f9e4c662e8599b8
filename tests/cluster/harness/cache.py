"""What is made once per machine and used by every checkout: built programs and images, outside the checkout.

An entry is a folder named after the hash of everything that goes into it. It is made in a temporary folder and renamed
when it is whole, under a file lock, so that neither an interrupted run nor two parallel ones leave half an entry.
"""

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def root() -> Path:
    """The folder of the cache: $TAILRACE_CACHE, $XDG_CACHE_HOME or ~/.cache, and `tailrace` in it."""
    base = os.environ.get("TAILRACE_CACHE") or os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "tailrace"


def key(*parts: str | bytes | Path) -> str:
    """A short hash of texts and of files' contents; a missing file counts as an empty one."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, Path):
            part = part.read_bytes() if part.exists() else b""
        digest.update(hashlib.sha256(part.encode() if isinstance(part, str) else part).digest())
    return digest.hexdigest()[:16]


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock between processes; it ends with the process that holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def entry(kind: str, name: str, make: Callable[[Path], None]) -> Path:
    """The folder of a cache entry; `make` fills a temporary folder when there is none yet."""
    place = root() / kind / name
    if place.is_dir():
        return place
    with locked(root() / kind / f".{name}.lock"):
        if not place.is_dir():
            publish(place, make)
    return place


def publish(place: Path, make: Callable[[Path], None]) -> None:
    """Make a folder whole or not at all."""
    draft = Path(tempfile.mkdtemp(prefix=f".{place.name}.", dir=place.parent))
    try:
        make(draft)
        draft.chmod(0o755)
        draft.rename(place)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
