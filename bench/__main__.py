"""`python -m bench`: measure, print the tables, write the numbers.

`gateway-path` is the default; `failover` measures what a client sees when a worker dies, hangs or leaves; `reconcile`
what a thousand models cost the operator, `wake` how soon it answers a request that finds no worker; these two run an
API server of their own. `python -m bench.scaling` compares scaling policies in a simulation.
"""

import argparse
import asyncio
import sys
from pathlib import Path

import msgspec

from bench import failover, gateway_path, tables

_RESULTS = Path("bench/results")
_CHOICES = ("gateway-path", "failover", "reconcile", "wake")


def main() -> None:
    """Parse the command line and run one benchmark."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("which", nargs="?", choices=_CHOICES, default="gateway-path")
    parser.add_argument("--tiny", action="store_true", help="a few streams, for a second: shows that it works")
    parser.add_argument("--results", type=Path, default=_RESULTS, help="directory of the JSON files")
    options = parser.parse_args()
    if options.which == "failover":
        text, report = asyncio.run(_failover(options.tiny))
    elif options.which in ("reconcile", "wake"):
        text, report = _operator(options.which, options.tiny)
    else:
        text, report = asyncio.run(_gateway_path(options.tiny))
    options.results.mkdir(parents=True, exist_ok=True)
    file = options.results / f"{options.which.replace('-', '_')}.json"
    file.write_bytes(msgspec.json.format(msgspec.json.encode(report)))
    print(f"{text}\nall numbers: {file}")


async def _gateway_path(tiny: bool) -> tuple[str, msgspec.Struct]:
    scenarios, probes = (gateway_path.TINY, 4) if tiny else (gateway_path.FULL, 300)
    report = await gateway_path.measure(scenarios, probes)
    return tables.render(report), report


async def _failover(tiny: bool) -> tuple[str, msgspec.Struct]:
    report = await failover.measure(failover.TINY if tiny else failover.FULL)
    return failover.render(report), report


def _operator(which: str, tiny: bool) -> tuple[str, msgspec.Struct]:
    # The harness of the cluster tests runs the API server; nobody else needs it on their path.
    sys.path.insert(0, str(Path("tests/cluster").resolve()))
    from bench import reconcile, wake

    if which == "wake":
        woken = wake.measure(wake.TINY if tiny else wake.FULL)
        return wake.render(woken), woken
    report = reconcile.measure(reconcile.TINY if tiny else reconcile.FULL)
    return reconcile.render(report), report


if __name__ == "__main__":
    main()
