"""Print the Makefile's commands: every target that has a `##` comment, one line each."""

import re
import sys
from pathlib import Path


def main() -> None:
    """Read the Makefile that the first argument names."""
    text = Path(sys.argv[1]).read_text()
    targets = re.findall(r"^([a-z-]+):[^#\n]*## (.+)$", text, re.MULTILINE)
    width = max(len(name) for name, _ in targets)
    for name, words in targets:
        print(f"  make {name:<{width}}  {words}")


if __name__ == "__main__":
    main()
