"""What the way through gateway, broker and worker adds to a bare server that sends the same frames at the same pace.

The two sides take turns under the same load generator, so that both see the same machine; a number is the median of
the rounds. Three loads: nothing else (first tokens only), `busy` (many tokens) and `open` (many streams).
"""

import time

import msgspec

from bench.load import Plan, Result
from bench.machine import Machine, describe
from bench.stack import MODEL, Size, Stack, put_load, running_stack

#: Seconds between the ramp and the window, in which the last streams begin.
_SETTLE_S = 1.0


class Scenario(msgspec.Struct, frozen=True):
    """A load. Times in seconds; `pace` is tokens per second of each stream."""

    name: str
    streams: int
    pace: float
    ramp_s: float
    window_s: float
    probes: int
    probes_per_s: float
    rounds: int

    @property
    def tokens(self) -> int:
        """How many tokens keep a stream open from its start to the last probe."""
        open_s = self.ramp_s + _SETTLE_S + self.window_s + self.probes / max(1.0, self.probes_per_s) + 0.5
        return int(self.pace * open_s) + 1


FULL = (
    Scenario("busy", 200, 50.0, ramp_s=2.0, window_s=4.0, probes=80, probes_per_s=40.0, rounds=3),
    Scenario("open", 2000, 1.0, ramp_s=10.0, window_s=5.0, probes=80, probes_per_s=40.0, rounds=1),
)
#: For the smoke test: it shows that everything works, its numbers mean nothing.
TINY = (Scenario("tiny", 4, 20.0, ramp_s=0.1, window_s=0.3, probes=2, probes_per_s=20.0, rounds=1),)
WORKERS = 2


class Sides(msgspec.Struct, frozen=True):
    """The same load on both sides, round by round."""

    scenario: Scenario
    gateway: list[Result]
    bare: list[Result]


class Report(msgspec.Struct, frozen=True):
    """Everything that was measured. `unloaded` holds the first tokens of the gateway, then of the bare server."""

    machine: Machine
    seconds: float
    unloaded: Result
    loads: list[Sides]


async def measure(scenarios: tuple[Scenario, ...], unloaded_probes: int = 300) -> Report:
    """Run all scenarios, one after the other, each on a stack of its own; the unloaded one on that of the first."""
    begun, machine = time.monotonic(), describe()
    async with running_stack(_size(scenarios[0])) as stack:
        unloaded = await put_load(_idle_plan(stack, unloaded_probes))
        loads = [await _both(stack, scenarios[0])]
    for scenario in scenarios[1:]:
        async with running_stack(_size(scenario)) as stack:
            loads.append(await _both(stack, scenario))
    return Report(machine, time.monotonic() - begun, unloaded, loads)


def _size(scenario: Scenario) -> Size:
    """Room for all streams on either worker: how the broker spreads them is not what is measured here."""
    return Size(WORKERS, scenario.streams + 64, scenario.pace)


async def _both(stack: Stack, scenario: Scenario) -> Sides:
    sides = Sides(scenario, [], [])
    for _ in range(scenario.rounds):
        sides.gateway.append(await put_load(_plan(stack, scenario, stack.gateway_url)))
        sides.bare.append(await put_load(_plan(stack, scenario, stack.bare_url)))
    return sides


def _plan(stack: Stack, scenario: Scenario, url: str) -> Plan:
    return Plan(
        targets=[url],
        model=MODEL,
        streams=scenario.streams,
        tokens=scenario.tokens,
        pace=scenario.pace,
        ramp_s=scenario.ramp_s,
        settle_s=_SETTLE_S,
        window_s=scenario.window_s,
        probes=scenario.probes,
        probes_per_s=scenario.probes_per_s,
        watch=stack.pids,
    )


def _idle_plan(stack: Stack, probes: int) -> Plan:
    """First tokens alone, the two sides taking turns request by request."""
    return Plan(
        targets=[stack.gateway_url, stack.bare_url],
        model=MODEL,
        streams=0,
        tokens=0,
        pace=stack.size.pace,
        ramp_s=0,
        settle_s=0,
        window_s=0,
        probes=probes,
        probes_per_s=50.0,
        watch={},
    )
