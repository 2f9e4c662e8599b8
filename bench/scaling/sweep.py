"""All policies at all their settings on one trace or many, on all cores."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass

from msgspec import structs

from bench.scaling.policies import MAKERS, SETTINGS
from bench.scaling.request import Request
from bench.scaling.result import Row
from bench.scaling.simulation import Setup, Simulation


@dataclass(frozen=True, slots=True)
class Point:
    """One run to be made."""

    trace: str
    cold_start_s: float
    policy: str
    setting: float


def points(traces: Iterable[str], cold_starts_s: Sequence[float], policies: Sequence[str]) -> list[Point]:
    """Every policy at every setting, with every cold start, on every trace."""
    return [
        Point(trace, cold_start_s, policy, setting)
        for trace in traces
        for cold_start_s in cold_starts_s
        for policy in policies
        for setting in SETTINGS[policy]
    ]


def simulate(point: Point, requests: Sequence[Request], setup: Setup) -> Row:
    """One run."""
    policy = MAKERS[point.policy](point.setting, setup.slots, requests, point.cold_start_s)
    outcome = Simulation(requests, policy, setup).run()
    return Row(point.trace, point.cold_start_s, point.policy, point.setting, **structs.asdict(outcome))


def run(wanted: Sequence[Point], traces: Mapping[str, Sequence[Request]], slots: int) -> Iterator[tuple[int, Row]]:
    """The rows with their points' positions, as they come."""
    with ProcessPoolExecutor(initializer=_take, initargs=(traces,)) as pool:
        runs = {pool.submit(_run, point, slots): index for index, point in enumerate(wanted)}
        for done in as_completed(runs):
            yield runs[done], done.result()


_traces: Mapping[str, Sequence[Request]] = {}


def _take(traces: Mapping[str, Sequence[Request]]) -> None:
    global _traces
    _traces = traces


def _run(point: Point, slots: int) -> Row:
    return simulate(point, _traces[point.trace], Setup(cold_start_s=point.cold_start_s, slots=slots))
