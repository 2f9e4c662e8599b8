"""The simulated engine is a pure function of (request, position), so that a cut can be compared letter by letter."""

import json

import pytest
from tailrace_protocol.errors import TailraceError
from tailrace_protocol.requests import Request
from tailrace_protocol.settings import SimulatedSettings
from tailrace_worker.engines.engine import Job
from tailrace_worker.engines.simulated import SimulatedEngine


def job(streaming=True, replay=(), **body):
    request = Request("default.m.abcd." + "a" * 33, "chat", "chatcmpl-1", 1, streaming)
    return Job(request, json.dumps({"max_tokens": 6, **body}).encode(), replay)


async def run(given):
    engine = SimulatedEngine(SimulatedSettings(tokens_per_s=1e6), "m", 4)
    return [step async for step in await engine.generate(given)]


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("n", [1, 3])
async def test_a_cut_anywhere_changes_nothing(streaming, n):
    whole = await run(job(streaming, n=n, stream_options={"include_usage": True}))
    for cut in range(len(whole)):
        replay = tuple(step.groups for step in whole[:cut])
        rest = await run(job(streaming, replay, n=n, stream_options={"include_usage": True}))
        assert whole[:cut] + rest == whole


async def test_only_the_last_step_has_usage():
    steps = await run(job())
    assert [step.usage is not None for step in steps] == [False] * 5 + [True]


@pytest.mark.parametrize("body", [{"max_tokens": 0}, {"max_tokens": "many"}, {"max_tokens": 10**7}])
async def test_bad_bodies_are_refused_before_anything_is_generated(body):
    with pytest.raises(TailraceError):
        await run(job(**body))


async def test_closing_frees_the_slot():
    engine = SimulatedEngine(SimulatedSettings(tokens_per_s=1000), "m", 4)
    steps = await engine.generate(job())
    await anext(steps)
    assert engine.active == 1
    await steps.aclose()
    assert engine.active == 0
