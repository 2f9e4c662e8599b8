"""What a client sees when the worker of its stream dies, hangs or leaves: how long the text pauses, and whether it is
the text that it would have been.

Half of the streams run on the worker that is hit; only those are measured. The pause is the longest time between two
events after the fault, the pace of the stream included.
"""

import asyncio
import itertools
import os
import signal
import time
from collections.abc import Sequence

import msgspec
from tailrace_operator.local.processes import Child

from bench.machine import Machine, describe
from bench.sse_client import Counter, Stream, Target, follow
from bench.stack import MODEL, Size, Stack, running_stack
from bench.stats import Spread, median, spread

_FAULTS = {
    "SIGKILL": "the worker dies",
    "SIGTERM": "the worker is asked to leave",
    "SIGSTOP": "the worker hangs",
}
_AIM_MS = 100.0
_VERBOSE = {"Tailrace-Events": "all"}


class Scenario(msgspec.Struct, frozen=True):
    """How many streams, how fast (tokens per second of each), and which faults are tried how often."""

    streams: int
    pace: float
    tokens: int
    rounds: int
    faults: tuple[str, ...] = tuple(_FAULTS)


FULL = Scenario(streams=50, pace=50.0, tokens=250, rounds=3)
#: For the smoke test.
TINY = Scenario(streams=6, pace=50.0, tokens=60, rounds=1, faults=("SIGKILL",))


class Fault(msgspec.Struct, frozen=True):
    """One fault in one round: `moved` streams lived on the worker that was hit, `identical` of all ended the same."""

    signal: str
    streams: int
    moved: int
    identical: int
    pause_ms: Spread


class Report(msgspec.Struct, frozen=True):
    """All rounds of all faults."""

    machine: Machine
    scenario: Scenario
    faults: list[Fault]


async def measure(scenario: Scenario) -> Report:
    """Try every fault, each round on fresh processes."""
    machine = describe()
    faults = [await _try(scenario, name) for _ in range(scenario.rounds) for name in scenario.faults]
    return Report(machine, scenario, faults)


async def _try(scenario: Scenario, name: str) -> Fault:
    async with running_stack(Size(2, scenario.streams * 2, scenario.pace)) as stack:
        undisturbed = await _follow_all(stack, scenario)
        running = asyncio.create_task(_follow_all(stack, scenario))
        await asyncio.sleep(scenario.tokens / scenario.pace / 3)
        victim, at = stack.workers[0], time.monotonic_ns()
        os.kill(victim.pid, getattr(signal, name))
        disturbed = await running
        if name == "SIGSTOP":
            os.kill(victim.pid, signal.SIGKILL)
        return _judge(stack, victim, name, at, undisturbed, disturbed)


async def _follow_all(stack: Stack, scenario: Scenario) -> list[Stream]:
    target, counter = Target(stack.gateway_url, MODEL, _VERBOSE), Counter()
    prompts = [f"stream {number}" for number in range(scenario.streams)]
    follows = (follow(target, scenario.tokens, prompt, counter, trace=True) for prompt in prompts)
    streams = await asyncio.wait_for(asyncio.gather(*follows), scenario.tokens / scenario.pace + 60)
    troubles = [stream.trouble for stream in streams if stream.trouble]
    if troubles:
        raise RuntimeError(f"streams were not whole, nothing is reported: {troubles[:5]}")
    return list(streams)


def _judge(
    stack: Stack, victim: Child, name: str, at: int, undisturbed: Sequence[Stream], disturbed: Sequence[Stream]
) -> Fault:
    hit = stack.name_of(victim)
    moved = [stream for stream in disturbed if _writers(stream)[0] == hit and len(_writers(stream)) > 1]
    identical = sum(_text(a) == _text(b) for a, b in zip(undisturbed, disturbed, strict=True))
    pauses = [_pause_ms(stream, at) for stream in moved]
    return Fault(name, len(disturbed), len(moved), identical, spread(pauses))


def _writers(stream: Stream) -> list[str]:
    events = [event for _, event in stream.trace or [] if event.startswith(b"event: tailrace.attempt")]
    return [msgspec.json.decode(event.partition(b"data: ")[2])["worker"] for event in events]


def _text(stream: Stream) -> str:
    """The stream's text, with how it ended."""
    parts = []
    for _, event in stream.trace or []:
        data = event.partition(b"data: ")[2]
        if event.startswith(b"id: ") and data != b"[DONE]":
            choice = msgspec.json.decode(data)["choices"][0]
            parts.append(f"{choice['delta'].get('content') or ''}{choice['finish_reason'] or ''}")
    return "".join(parts)


def _pause_ms(stream: Stream, at: int) -> float:
    times = [when for when, event in stream.trace or [] if event.startswith(b"id: ")]
    return max((after - before) / 1e6 for before, after in itertools.pairwise(times) if after > at)


def render(report: Report) -> str:
    """The table, in Markdown."""
    scenario, machine = report.scenario, report.machine
    head = (
        f"{scenario.streams} streams at {scenario.pace:g} tokens/s on two workers, one of which is hit; "
        f"medians of {scenario.rounds} round(s). {machine.cpu}, {machine.cores} cores, load {machine.load_before}."
    )
    title = "| fault | streams moved | pause p50 | p95 | max | identical text | aim (p95) |"
    rows = [_row([fault for fault in report.faults if fault.signal == name], name) for name in scenario.faults]
    return "\n".join([head, "", title, "|---|---|---|---|---|---|---|", *rows]) + "\n"


def _row(rounds: list[Fault], name: str) -> str:
    p50, p95, worst = (median([getattr(r.pause_ms, p) for r in rounds]) for p in ("p50", "p95", "max"))
    same, streams = sum(r.identical for r in rounds), sum(r.streams for r in rounds)
    aim = f"≤ {_AIM_MS:g} ms: {'reached' if p95 <= _AIM_MS else '**missed**'}" if name == "SIGKILL" else ""
    moved = sum(r.moved for r in rounds)
    pauses = f"{p50:.0f} ms | {p95:.0f} ms | {worst:.0f} ms"
    return f"| {_FAULTS[name]} ({name}) | {moved} | {pauses} | {same} of {streams} | {aim} |"
