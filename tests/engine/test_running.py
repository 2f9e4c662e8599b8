"""What happens while an answer is generated: steps, chunking, company, and stopping at once."""

import asyncio

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from tailrace_protocol.errors import ErrorCode, TailraceError
from tailrace_protocol.events import TokenGroup
from tailrace_protocol.settings import ChunkingSettings, VllmSettings

from .harness import CREATED, RESPONSE_ID, answer, chat, completion, frames, job, text, tokens

LONG = {"max_tokens": 400, "ignore_eos": True}


async def test_frames_are_what_openai_clients_parse(engine):
    for frame in frames(await answer(engine, chat())):
        chunk = ChatCompletionChunk.model_validate(frame)
        assert (chunk.id, chunk.created, chunk.model) == (RESPONSE_ID, CREATED, "smollm2")
    (whole,) = frames(await answer(engine, chat(), streaming=False))
    response = ChatCompletion.model_validate(whole)
    assert (response.id, response.created) == (RESPONSE_ID, CREATED)
    assert "Paris" in response.choices[0].message.content


async def test_only_the_last_step_has_usage_and_every_other_one_has_tokens(engine):
    steps = await answer(engine, chat())
    assert [step.usage is not None for step in steps] == [False] * (len(steps) - 1) + [True]
    assert all(step.groups for step in steps)
    assert steps[-1].groups[-1].finish == "stop"


async def test_chunking_sends_the_first_token_at_once_and_gathers_the_others(engine):
    chunking = ChunkingSettings(tokens=4, max_delay_s=60.0)
    steps = await answer(engine, chat(max_tokens=14, ignore_eos=True), chunking=chunking)
    assert [len(step.groups[0].tokens) for step in steps] == [1, 4, 4, 4, 1]
    plain = await answer(engine, chat(max_tokens=14, ignore_eos=True))
    assert (text(steps), tokens(steps)) == (text(plain), tokens(plain))


async def test_chunking_waits_no_longer_than_it_may(engine):
    chunking = ChunkingSettings(tokens=1000, max_delay_s=0.001)
    steps = await answer(engine, chat(max_tokens=10, ignore_eos=True), chunking=chunking)
    assert len(steps) > 2


async def test_a_stop_string_inside_a_chunk_ends_it_there(engine):
    chunking = ChunkingSettings(tokens=50, max_delay_s=60.0)
    steps = await answer(engine, chat(stop=["of"]), chunking=chunking)
    assert text(steps) == "The capital "
    assert engine.running == 0


async def test_a_choice_that_is_complete_is_not_generated_again(engine):
    asked = chat(n=2, temperature=1.0, seed=2, max_tokens=5)
    whole = await answer(engine, asked)
    logged = tuple((group,) for step in whole for group in step.groups if group.choice == 1)
    rest = await answer(engine, asked, replay=logged)
    assert tokens(rest, 1) == []
    assert tokens(rest, 0) == tokens(whole, 0)
    assert rest[-1].usage == whole[-1].usage


async def test_a_log_that_ends_at_the_last_token_needs_only_its_end(engine):
    logged = ((TokenGroup(0, [504, 3575, 282]),),)
    steps = await answer(engine, chat(max_tokens=3), replay=logged)
    assert tokens(steps) == []
    assert frames(steps)[-1]["choices"][0]["finish_reason"] == "length"
    assert steps[-1].usage.completion_tokens == 3


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("choices", [1, 3])
async def test_closing_stops_the_engine_at_once(engine, streaming, choices):
    steps = await engine.generate(job(chat(n=choices, temperature=1.0, **LONG), streaming=streaming))
    await anext(steps)
    assert engine.running == choices
    await steps.aclose()
    assert engine.running == 0


async def test_closing_before_the_first_step_stops_it_too(engine):
    steps = await engine.generate(job(chat(**LONG)))
    await steps.aclose()
    assert engine.running == 0


async def test_cancelling_the_reader_stops_the_engine(engine):
    steps = await engine.generate(job(chat(**LONG)))
    await anext(steps)
    reader = asyncio.create_task(_read(steps))
    await asyncio.sleep(0)
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert engine.running == 0


async def _read(steps):
    async for _ in steps:
        pass


async def test_answers_side_by_side_do_not_mix(engine):
    asked = [chat(), completion(), chat("Name a colour."), chat(n=2, temperature=1.0, seed=4)]
    alone = [await answer(engine, one) for one in asked]
    together = await asyncio.gather(*(answer(engine, one) for one in asked))
    assert [tokens(steps) for steps in together] == [tokens(steps) for steps in alone]


async def test_an_engine_that_was_not_started_says_so():
    from tailrace_worker.engines.vllm import VllmEngine

    idle = VllmEngine(VllmSettings(args=[]), "smollm2", 1)
    assert not idle.healthy
    with pytest.raises(TailraceError) as refused:
        await idle.generate(job(chat()))
    assert refused.value.code is ErrorCode.ENGINE_FAILED
