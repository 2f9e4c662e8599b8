"""Pages of which a part is made from the code: replaced, or only compared with `--check`."""

import sys
from pathlib import Path


def between(text: str, start: str, end: str, body: str) -> str:
    """`text` with `body` between its marks `start` and `end`."""
    before, _, rest = text.partition(start)
    return before + start + body + end + rest.partition(end)[2]


def bring(page: Path, wanted: str) -> None:
    """Write `wanted` to the page; with `--check` on the command line, exit with a message where it differs."""
    if wanted == page.read_text():
        return
    if "--check" in sys.argv:
        sys.exit(f"{page} differs from what it is generated from: run `make docs`")
    page.write_text(wanted)
