"""Writes golden files that are missing: `uv run python -m tests.unit.protocol.golden v1`. Never overwrites one."""

import sys
from pathlib import Path

from tailrace_protocol.wire import encode

from .samples import MEANING, NEWEST

GOLDEN = Path(__file__).parent / "golden"


def path_of(version: str, name: str, root: Path = GOLDEN) -> Path:
    return root / version / f"{name}.json"


def write_missing(version: str, root: Path = GOLDEN) -> list[Path]:
    """The files written. Refuses any version but the newest: an older one is what old programs really wrote."""
    if version != NEWEST:
        raise SystemExit(f"{version!r} is not the newest version, {NEWEST!r}: declare versions in samples.py")
    written = []
    for name, message in MEANING[version].items():
        path = path_of(version, name, root)
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.write_bytes(encode(message))
            written.append(path)
    return written


if __name__ == "__main__":
    for file in write_missing(sys.argv[1] if len(sys.argv) > 1 else ""):
        print(f"wrote {file}")
