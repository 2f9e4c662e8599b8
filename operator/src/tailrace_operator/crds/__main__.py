"""`python -m tailrace_operator.crds DIRECTORY [--chart DIRECTORY] [--reference FILE] [--check]`: generate CRDs.

DIRECTORY gets the CRDs, --chart the same as templates of the chart, --reference the page that documents them.
"""

import argparse
import difflib
import sys
from collections.abc import Sequence
from pathlib import Path

from tailrace_operator.crds.chart import chart_text_of
from tailrace_operator.crds.definitions import custom_resource_definitions, text_of
from tailrace_operator.crds.reference import reference_page


def main(argv: Sequence[str] | None = None) -> int:
    """Write the files, or with --check only tell whether they are current (exit code 1 when not)."""
    arguments = _arguments(argv)
    texts = _texts(arguments)
    if arguments.check:
        stale = [difference for file, text in texts.items() if (difference := _difference(file, text))]
        sys.stderr.write("".join(stale) + ("run `make crds` and commit the result\n" if stale else ""))
        return 1 if stale else 0
    for file, text in texts.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return 0


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tailrace_operator.crds", description=__doc__)
    parser.add_argument("directory", type=Path, help="where the CRDs are")
    parser.add_argument("--chart", type=Path, help="where the chart's templates of them are")
    parser.add_argument("--reference", type=Path, help="the page that documents them")
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a file differs")
    return parser.parse_args(argv)


def _texts(arguments: argparse.Namespace) -> dict[Path, str]:
    definitions = custom_resource_definitions()
    texts = {arguments.directory / name: text_of(definition) for name, definition in definitions.items()}
    if arguments.chart:
        texts |= {arguments.chart / name: chart_text_of(definition) for name, definition in definitions.items()}
    return texts | ({arguments.reference: reference_page()} if arguments.reference else {})


def _difference(file: Path, wanted: str) -> str:
    present = file.read_text() if file.exists() else ""
    return "".join(difflib.unified_diff(present.splitlines(True), wanted.splitlines(True), str(file), "generated"))


if __name__ == "__main__":
    sys.exit(main())
