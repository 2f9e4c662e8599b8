"""What is made once per machine and used by every checkout: built programs and images, outside the checkout.

An entry is a folder named after the hash of everything that goes into it. It is made in a temporary folder and renamed
when it is whole, under a file lock, so that neither an interrupted run nor two parallel ones leave half an entry. New
entries take the place of old ones of their name that nobody has used for an hour, or ten minutes when the disk is
nearly full.
"""

import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

UNUSED_S = 3600.0
SHORT_OF_DISK_BYTES = 20 << 30
UNUSED_IF_SHORT_S = 600.0
#: How many entries of a name stay whatever their age. Stores build on each other: one for every image of a cluster.
KEPT = {"stores": 16}
KEPT_OTHERWISE = 3


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
    if not place.is_dir():
        with locked(lock_of(place)):
            if not place.is_dir():
                publish(place, make)
                evict(place)
    os.utime(place)
    return place


def lock_of(place: Path) -> Path:
    return place.with_name(f".{place.name}.lock")


def evict(new: Path) -> None:
    """Remove entries that the new one may have replaced: the same name but for the hash, long unused."""
    stem = new.name.rpartition("-")[0]
    rivals = [path for path in new.parent.glob(f"{stem}-*") if path.name.rpartition("-")[0] == stem]
    by_use = sorted(rivals, key=lambda path: path.stat().st_mtime, reverse=True)
    unused_s = UNUSED_IF_SHORT_S if is_short_of_disk() else UNUSED_S
    for path in by_use[KEPT.get(new.parent.name, KEPT_OTHERWISE) :]:
        if time.time() - path.stat().st_mtime > unused_s:
            gone = path.rename(path.with_name(f".{path.name}.gone"))
            shutil.rmtree(gone, ignore_errors=True)
            lock_of(path).unlink(missing_ok=True)


def is_short_of_disk() -> bool:
    """Whether an image of a few gigabytes would fill the disk that the cache is on."""
    return shutil.disk_usage(root()).free < SHORT_OF_DISK_BYTES


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
