"""Pareto plots: GPU-hours against the p95 wait, one figure a trace, one panel a cold start."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.scaling.result import Row

#: Of Okabe and Ito's palette, which colour-blind people can tell apart, with a mark of its own for each policy.
_STYLE = {
    "tailrace": ("#0072b2", "o"),
    "knative-kpa": ("#d55e00", "s"),
    "kubeai": ("#009e73", "^"),
    "keda-hpa": ("#cc79a7", "D"),
    "hpa-utilization": ("#e69f00", "v"),
    "oracle": ("#000000", "*"),
}
_PANEL_INCHES = (4.2, 3.6)


def draw(rows: Iterable[Row], folder: Path) -> list[Path]:
    """Write one SVG for each trace; the same rows give the same bytes."""
    mpl.rcParams["svg.hashsalt"] = "tailrace"
    by_trace: dict[str, list[Row]] = {}
    for row in rows:
        by_trace.setdefault(row.trace, []).append(row)
    folder.mkdir(parents=True, exist_ok=True)
    return [_figure(trace, found, folder / f"{trace}.svg") for trace, found in by_trace.items()]


def _figure(trace: str, rows: Sequence[Row], file: Path) -> Path:
    cold_starts = sorted({row.cold_start_s for row in rows})
    width, height = _PANEL_INCHES
    figure = Figure(figsize=(width * len(cold_starts), height), layout="constrained")
    for axes, cold_start_s in zip(figure.subplots(1, len(cold_starts), squeeze=False)[0], cold_starts, strict=True):
        _panel(axes, [row for row in rows if row.cold_start_s == cold_start_s])
        axes.set_title(f"{trace}, cold start {cold_start_s:g} s", fontsize=10)
    figure.axes[0].set_ylabel("wait, p95 (s)")
    figure.legend(
        *figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(_STYLE), fontsize=8
    )
    figure.savefig(file, metadata={"Date": None, "Creator": "tailrace bench.scaling"})
    return file


def _panel(axes: Axes, rows: Sequence[Row]) -> None:
    for policy, (colour, mark) in _STYLE.items():
        points = sorted((row.gpu_hours, row.wait_p95_s) for row in rows if row.policy == policy)
        size = 3 if policy == "tailrace" else 5
        axes.plot(*zip(*points, strict=True), color=colour, marker=mark, markersize=size, linewidth=0.8, label=policy)
    axes.set_xscale("log")
    axes.set_yscale("symlog", linthresh=1.0)
    axes.set_ylim(bottom=-0.1)
    axes.set_xlabel("GPU-hours")
    axes.grid(visible=True, which="major", linewidth=0.3)
