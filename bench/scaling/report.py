"""`python -m bench.scaling.report ROWS.json [FORECAST.json]`: the measured part of docs/scaling.md, and its plots."""

import argparse
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec
from tailrace_operator.scaling.policy import DEFAULT_UTILIZATION

from bench.scaling.plots import draw
from bench.scaling.result import Row
from bench.scaling.synthetic import TUNED_ON
from bench.scaling.verdict import LIMIT, OURS, Verdict, verdicts

PAGE = Path("docs/scaling.md")
_BEGIN, _END = "<!-- measured: remade by `make bench-scaling` -->", "<!-- end of what is measured -->"
#: What each is set to where nobody thought about it: the products' defaults, or the middle of the sweep.
USUAL = {
    OURS: DEFAULT_UTILIZATION,
    "knative-kpa": 0.7,
    "kubeai": 1.0,
    "keda-hpa": 1.0,
    "hpa-utilization": 0.8,
    LIMIT: 1.0,
}
_Group = tuple[str, float]


def main() -> None:
    """Read the rows, write the page and the plots."""
    parser = argparse.ArgumentParser(prog="bench.scaling.report", description=__doc__)
    parser.add_argument("rows", type=Path)
    parser.add_argument("forecast", type=Path, nargs="?")
    options = parser.parse_args()
    rows = _read(options.rows)
    draw(rows, PAGE.parent / "scaling")
    measured = "\n\n".join(_sections(rows, _read(options.forecast) if options.forecast else []))
    before, rest = PAGE.read_text().split(_BEGIN)
    PAGE.write_text(f"{before}{_BEGIN}\n\n{measured}\n\n{_END}{rest.split(_END)[1]}")
    print(measured)


def _read(file: Path) -> list[Row]:
    return msgspec.json.decode(file.read_bytes(), type=list[Row])


def _sections(rows: Sequence[Row], forecast: Sequence[Row]) -> Iterator[str]:
    judged = verdicts(rows)
    yield "### Every point of every rival\n\n" + _summary(judged)
    yield "### At the usual settings\n\n" + _usual(rows)
    yield "### Where a rival's point stands\n\n" + _unbeaten(rows, judged)
    if forecast:
        yield "### What a forecast brings\n\n" + _forecast(rows, forecast)
    yield "### Plots\n\n" + "\n\n".join(f"![{trace}](scaling/{trace}.svg)" for trace in _traces(rows))


def _traces(rows: Iterable[Row]) -> list[str]:
    return list(dict.fromkeys(row.trace for row in rows))


def _table(head: Sequence[str], lines: Iterable[Sequence[object]]) -> str:
    body = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in body)


def _summary(judged: Sequence[Verdict]) -> str:
    def line(name: str, found: Sequence[Verdict]) -> list[object]:
        beaten = sum(verdict.beaten_by is not None for verdict in found)
        tied = sum(verdict.beaten_by is None and verdict.tied_with is not None for verdict in found)
        return [name, len(found), beaten, tied, len(found) - beaten - tied]

    by_trace = {trace: [v for v in judged if v.rival.trace == trace] for trace in _traces(v.rival for v in judged)}
    by_policy = {policy: [v for v in judged if v.rival.policy == policy] for policy in USUAL}
    lines = [line(trace + (" (tuned on)" if trace in TUNED_ON else ""), found) for trace, found in by_trace.items()]
    lines += [line(f"**{policy}**", found) for policy, found in by_policy.items() if found]
    lines += [line("**all**", list(judged))]
    head = ("trace, or rival", "points", "beaten", "equalled", "not")
    return (
        "*Beaten*: some setting of ours has no more GPU-hours and a lower p95 wait. *Equalled*: no more GPU-hours and "
        "the same p95, which where it is 0 nobody can lower.\n\n" + _table(head, lines)
    )


def _usual(rows: Sequence[Row]) -> str:
    groups = _by_group(row for row in rows if USUAL[row.policy] == row.setting)
    lines = []
    for (trace, cold_start_s), found in groups.items():
        limit = found[LIMIT].gpu_hours
        cells = [f"{row.gpu_hours:.2f} · {row.wait_p95_s:.1f}" for row in (found[policy] for policy in USUAL)]
        lines.append([trace, f"{cold_start_s:g}", *cells, f"{found[OURS].gpu_hours / limit:.2f}"])
    head = ("trace", "cold start (s)", *(f"{policy} {setting:g}" for policy, setting in USUAL.items()), "ours ÷ oracle")
    most = max(lines, key=lambda line: float(line[-1]))
    return (
        "GPU-hours · p95 wait in seconds. The oracle knows the future and never lets anybody wait. Ours at its default "
        f"spends at most {most[-1]} times the oracle's GPU-hours ({most[0]}, {most[1]} s). Streams cut, all settings: "
        f"{_cuts(rows)}.\n\n" + _table(head, lines)
    )


def _cuts(rows: Sequence[Row]) -> str:
    return ", ".join(f"{p} {sum(row.streams_cut for row in rows if row.policy == p)}" for p in USUAL if p != LIMIT)


def _by_group(rows: Iterable[Row]) -> dict[_Group, dict[str, Row]]:
    groups: dict[_Group, dict[str, Row]] = {}
    for row in rows:
        groups.setdefault((row.trace, row.cold_start_s), {})[row.policy] = row
    return groups


def _unbeaten(rows: Sequence[Row], judged: Sequence[Verdict]) -> str:
    lines = []
    for verdict in judged:
        rival = verdict.rival
        if verdict.beaten_by is not None or verdict.tied_with is not None:
            continue
        ours = [r for r in rows if (r.policy, r.trace, r.cold_start_s) == (OURS, rival.trace, rival.cold_start_s)]
        near = min((r for r in ours if r.gpu_hours <= rival.gpu_hours), key=lambda r: r.wait_p95_s, default=None)
        told = f"{near.gpu_hours:.2f} · {near.wait_p95_s:.1f}" if near else "spends more at every setting"
        point = f"{rival.gpu_hours:.2f} · {rival.wait_p95_s:.1f}"
        lines.append([rival.trace, f"{rival.cold_start_s:g}", f"{rival.policy} {rival.setting:g}", point, told])
    head = ("trace", "cold start (s)", "rival", "its GPU-hours · p95 (s)", "ours, for no more GPU-hours")
    return _table(head, lines)


def _forecast(rows: Sequence[Row], forecast: Sequence[Row]) -> str:
    plain = {(row.trace, row.cold_start_s): row for row in rows if (row.policy, row.setting) == (OURS, USUAL[OURS])}
    rivals = [row for row in rows if row.policy not in (OURS, LIMIT)]
    renamed = [msgspec.structs.replace(row, policy=OURS) for row in forecast]
    counts = [_good(verdicts([*rivals, *ours])) for ours in ([row for row in rows if row.policy == OURS], renamed)]
    lines = []
    for row in forecast:
        if row.setting == USUAL[OURS]:
            without = plain[row.trace, row.cold_start_s]
            both = [f"{found.gpu_hours:.2f} · {found.wait_p95_s:.1f}" for found in (without, row)]
            lines.append([row.trace, f"{row.cold_start_s:g}", *both])
    return (
        f"At the default setting. Over the whole sweep {counts[0]} of {len(rivals)} rivals' points are beaten or "
        f"equalled without, {counts[1]} with it.\n\n"
        + _table(("trace", "cold start (s)", "without: GPU-hours · p95 (s)", "with a forecast"), lines)
    )


def _good(judged: Sequence[Verdict]) -> int:
    return sum(verdict.beaten_by is not None or verdict.tied_with is not None for verdict in judged)


if __name__ == "__main__":
    main()
