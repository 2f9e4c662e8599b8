"""The load generator, a process of its own: a plan comes in on stdin, what was measured goes out on stdout.

A load has phases: streams are opened one after the other, then a quiet window is measured while all are open, then
short streams are opened beside them to see how long the first token takes under that load. Every stream is followed
to its end. If any of them missed an event, the result says so and nothing in it may be used.
"""

import asyncio
import os
import sys
import time

import msgspec
import uvloop

from bench.sse_client import Counter, Stream, Target, follow
from bench.stats import Spread, spread
from bench.usage import Snapshot, Watch, between

_PROBE_TOKENS = 3
#: How long a stream may take beyond its own pace before the load is given up, in seconds.
_PATIENCE_S = 30.0


class Plan(msgspec.Struct, frozen=True):
    """What to do. Times in seconds; `pace` is the servers' tokens per second; `watch` names processes by part."""

    targets: list[str]
    model: str
    streams: int
    tokens: int
    pace: float
    ramp_s: float
    settle_s: float
    window_s: float
    probes: int
    probes_per_s: float
    watch: dict[str, list[int]]
    warm_up: int = 8


class Window(msgspec.Struct, frozen=True):
    """The quiet window. Resident memory is that before the first and with all streams open."""

    seconds: float
    events: int
    cpu_s: dict[str, float]
    others_cores: float
    idle_cores: float
    delay_ms: Spread
    rss_before: dict[str, int]
    rss_open: dict[str, int]


class Result(msgspec.Struct, frozen=True):
    """What was measured. `first_token_ms` has one entry per target."""

    streams: int
    events: int
    troubles: list[str]
    window: Window | None
    first_token_ms: list[Spread]


class Load:
    """Carries out one plan."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._targets = [Target(url, plan.model) for url in plan.targets]
        self._watch = Watch({**plan.watch, "load": [os.getpid()]})
        self._counter = Counter()
        self._streams: list[asyncio.Task[Stream]] = []
        self._probes: list[list[asyncio.Task[Stream]]] = [[] for _ in plan.targets]

    async def run(self) -> Result:
        """Do it, within a bound."""
        plan = self._plan
        await self._open(self._streams, self._targets[0], plan.warm_up, 2, 1.0)
        await asyncio.wait(self._streams, timeout=_PATIENCE_S)
        before = self._watch.look()
        await self._open(self._streams, self._targets[0], plan.streams, plan.tokens, plan.ramp_s)
        window = await self._measure(before) if plan.streams else None
        for number in range(plan.probes):
            at = number % len(self._targets)
            await self._open(self._probes[at], self._targets[at], 1, _PROBE_TOKENS, 1 / plan.probes_per_s)
        everything = [*self._streams, *(probe for group in self._probes for probe in group)]
        await asyncio.wait(everything, timeout=plan.tokens / plan.pace + _PATIENCE_S)
        return self._result(everything, window)

    async def _open(
        self, into: list[asyncio.Task[Stream]], target: Target, count: int, tokens: int, within_s: float
    ) -> None:
        begun = time.monotonic()
        for number in range(count):
            prompt = f"stream {number}"
            into.append(asyncio.create_task(follow(target, tokens, prompt, self._counter)))
            await asyncio.sleep(max(0.0, begun + (number + 1) * within_s / count - time.monotonic()))

    async def _measure(self, before: Snapshot) -> Window:
        await asyncio.sleep(self._plan.settle_s)
        self._counter.keep_delays, events = True, self._counter.events
        first = self._watch.look()
        await asyncio.sleep(self._plan.window_s)
        second = self._watch.look()
        self._counter.keep_delays, events = False, self._counter.events - events
        if self._counter.open_streams < self._plan.streams:
            raise SystemExit(f"only {self._counter.open_streams} of {self._plan.streams} streams were open")
        used = between(first, second)
        delays = spread([ns / 1e6 for ns in self._counter.delays_ns])
        return Window(
            seconds=used.seconds,
            events=events,
            cpu_s=used.cpu_s,
            others_cores=used.others_cores,
            idle_cores=used.idle_cores,
            delay_ms=delays,
            rss_before=before.rss_bytes,
            rss_open=second.rss_bytes,
        )

    def _result(self, tasks: list[asyncio.Task[Stream]], window: Window | None) -> Result:
        troubles = [trouble for task in tasks if (trouble := _trouble(task))]
        firsts = [] if troubles else [_first_tokens(group) for group in self._probes]
        return Result(len(tasks), self._counter.events, troubles[:10], window, firsts)


def _first_tokens(probes: list[asyncio.Task[Stream]]) -> Spread:
    return spread([probe.result().first_token_ns / 1e6 for probe in probes])


def _trouble(task: asyncio.Task[Stream]) -> str:
    if not task.done():
        return "did not end"
    failure = task.exception()
    return repr(failure) if failure is not None else task.result().trouble


def main() -> None:
    """Read the plan, carry it out, write the result."""
    plan = msgspec.json.decode(sys.stdin.buffer.read(), type=Plan)
    result = uvloop.run(Load(plan).run())
    sys.stdout.buffer.write(msgspec.json.encode(result))


if __name__ == "__main__":
    main()
