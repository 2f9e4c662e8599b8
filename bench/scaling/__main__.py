"""`python -m bench.scaling`: compare scaling policies on traces, in a simulation.

Without `--trace`: the recorded hour (as it is, twice as fast, five times as much) and the synthetic traces.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from bench.scaling import sweep, synthetic
from bench.scaling.policies import COMPARED, MAKERS
from bench.scaling.recorded import TraceError, faster, multiplied, read
from bench.scaling.request import Request
from bench.scaling.result import Row

_AZURE = Path(__file__).parent / "traces" / "azure_llm_2023_code.csv.gz"
_COLD_STARTS_S = (15.0, 90.0, 360.0)


def main() -> int:
    """Parse the command line, run, write the rows; returns the exit status."""
    options = _parser().parse_args()
    try:
        traces = _traces(options.trace)
    except TraceError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    wanted = sweep.points(traces, tuple(options.cold_start), tuple(options.policy))
    rows = _run(wanted, traces, options.slots)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_bytes(msgspec.json.format(msgspec.json.encode(rows)))
    print(f"{len(rows)} rows: {options.json}", file=sys.stderr)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench.scaling", description=__doc__)
    parser.add_argument(
        "--trace", type=Path, action="append", help="CSV, plain or .gz: TIMESTAMP, ContextTokens, GeneratedTokens"
    )
    parser.add_argument("--json", type=Path, default=Path("bench/results/scaling.json"), help="where the rows go")
    parser.add_argument(
        "--cold-start", type=_seconds, nargs="+", default=_COLD_STARTS_S, help="seconds a worker starts"
    )
    parser.add_argument("--policy", nargs="+", choices=tuple(MAKERS), default=COMPARED, help="which policies")
    parser.add_argument("--slots", type=_slots, default=8, help="streams that a worker generates at once")
    return parser


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 86_400:
        raise argparse.ArgumentTypeError(f"{text}: seconds from 0 to 86400")
    return value


def _slots(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 4_096:
        raise argparse.ArgumentTypeError(f"{text}: streams from 1 to 4096")
    return value


def _traces(files: Sequence[Path] | None) -> dict[str, list[Request]]:
    if files:
        return {_name(file): read(file) for file in files}
    recorded = read(_AZURE)
    azure = {"azure": recorded, "azure-2x-speed": faster(recorded, 2), "azure-5x-load": multiplied(recorded, 5)}
    return azure | {name: synthetic.make(name) for name in synthetic.NAMES}


def _name(file: Path) -> str:
    return file.name.removesuffix(".gz").removesuffix(".csv")


def _run(wanted: Sequence[sweep.Point], traces: Mapping[str, Sequence[Request]], slots: int) -> list[Row]:
    found: dict[int, Row] = {}
    for index, row in sweep.run(wanted, traces, slots):
        found[index] = row
        if len(found) % 20 == 0 or len(found) == len(wanted):
            print(f"{len(found)} of {len(wanted)} runs", file=sys.stderr)
    return [found[index] for index in sorted(found)]


if __name__ == "__main__":
    sys.exit(main())
