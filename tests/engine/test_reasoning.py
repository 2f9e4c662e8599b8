"""Reasoning: a parser that watches the text is rebuilt by the replay like any other."""

import pytest_asyncio

from .conftest import ARGS, SERVED_NAME
from .harness import assert_cut_anywhere, chat, frames

THOUGHT = "Here is my thought process: It is known. Here is my response: Paris."


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def reasoning_engine(engine):
    """The same vLLM under serving classes with a reasoning parser, to save a second start."""
    from tailrace_protocol.settings import VllmSettings
    from tailrace_worker.engines.vllm import VllmEngine, launch
    from tailrace_worker.engines.vllm.continuable import ContinuableEngine
    from tailrace_worker.engines.vllm.internals import build_serving

    arguments = launch.parse(ARGS, SERVED_NAME)
    arguments.structured_outputs_config.reasoning_parser = "granite"  # as vLLM does while it makes an engine
    other = VllmEngine(VllmSettings(args=ARGS), SERVED_NAME, capacity=8)
    other._engine = engine._engine
    other._serving = await build_serving(ContinuableEngine(engine._engine), arguments)
    return other


async def test_reasoning_across_a_cut(reasoning_engine):
    asked = chat("Capital of France?", structured_outputs={"choice": [THOUGHT]}, max_tokens=40)
    steps = await assert_cut_anywhere(reasoning_engine, asked)
    deltas = [choice["delta"] for frame in frames(steps) for choice in frame["choices"]]
    assert "It is known." in "".join(delta.get("reasoning") or "" for delta in deltas)
    assert "".join(delta.get("content") or "" for delta in deltas).strip() == "Paris."


async def test_reasoning_in_one_answer(reasoning_engine):
    asked = chat("Capital of France?", structured_outputs={"choice": [THOUGHT]}, max_tokens=40)
    steps = await assert_cut_anywhere(reasoning_engine, asked, streaming=False)
    message = frames(steps)[-1]["choices"][0]["message"]
    assert "It is known." in message["reasoning"]
    assert message["content"].strip() == "Paris."
