"""A cut at any position of an answer leaves no trace: streaming and not, with every feature that has a memory.

Compared frame by frame with the undisturbed run. Left out are only the ids of tool calls, which are random, and the
last digits of log-probabilities.
"""

import json

import pytest

from .harness import answer, assert_cut_anywhere, chat, completion, frames, text, tokens

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "enum": ["Paris", "Rome"]}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
NAMED = {"type": "function", "function": {"name": "get_weather"}}
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 8}, "large": {"type": "boolean"}},
    "required": ["city", "large"],
    "additionalProperties": False,
}
RESPONSE_FORMAT = {"type": "json_schema", "json_schema": {"name": "city", "schema": CITY}}
MANY_BYTES = "🦜🌊 你好, 世界 🏔️é"
both_ways = pytest.mark.parametrize("streaming", [True, False], ids=["streaming", "whole"])


@both_ways
async def test_plain_chat(engine, streaming):
    steps = await assert_cut_anywhere(engine, chat(), streaming=streaming)
    assert text(steps) == "The capital of France is Paris."


@both_ways
async def test_plain_completion(engine, streaming):
    steps = await assert_cut_anywhere(engine, completion(), streaming=streaming)
    assert "Paris" in text(steps)


async def test_usage(engine):
    options = {"include_usage": True, "continuous_usage_stats": True}
    steps = await assert_cut_anywhere(engine, chat(stream_options=options))
    last = frames(steps)[-1]
    assert last["usage"]["completion_tokens"] == len(tokens(steps)) == steps[-1].usage.completion_tokens
    assert last["usage"]["prompt_tokens"] == steps[-1].usage.prompt_tokens


@both_ways
@pytest.mark.parametrize("included", [False, True])
async def test_stop_string_that_spans_tokens(engine, streaming, included):
    asked = chat(stop=["ance is Pa"], include_stop_str_in_output=included)
    steps = await assert_cut_anywhere(engine, asked, streaming=streaming)
    assert text(steps) == "The capital of Fr" + ("ance is Pa" if included else "")
    assert frames(steps)[-1]["choices"][0]["stop_reason"] == "ance is Pa"


@both_ways
async def test_characters_that_span_tokens(engine, streaming):
    asked = chat(structured_outputs={"choice": [MANY_BYTES]}, max_tokens=60, logprobs=True, top_logprobs=1)
    steps = await assert_cut_anywhere(engine, asked, streaming=streaming)
    assert text(steps) == MANY_BYTES
    assert len(tokens(steps)) > len(MANY_BYTES), "no character spanned tokens"


@both_ways
async def test_several_choices(engine, streaming):
    asked = chat(n=2, temperature=1.0, seed=11, max_tokens=7)
    steps = await assert_cut_anywhere(engine, asked, streaming=streaming)
    assert len(tokens(steps, 0)) == len(tokens(steps, 1)) == 7
    assert tokens(steps, 0) != tokens(steps, 1)


@both_ways
async def test_several_prompts(engine, streaming):
    asked = completion(prompt=["One, two, three,", "The capital of Italy is"], max_tokens=5)
    steps = await assert_cut_anywhere(engine, asked, streaming=streaming)
    assert {group.choice for step in steps for group in step.groups} == {0, 1}


@both_ways
async def test_seeded_sampling(engine, streaming):
    await assert_cut_anywhere(engine, chat(temperature=1.0, seed=5, top_p=0.95), streaming=streaming)


@both_ways
async def test_penalties(engine, streaming):
    penalties = {"frequency_penalty": 1.2, "presence_penalty": 0.8, "repetition_penalty": 1.1}
    asked = chat("Repeat the word tea.", max_tokens=16, **penalties)
    steps = await assert_cut_anywhere(engine, asked, streaming=streaming)
    plain = await answer(engine, chat("Repeat the word tea.", max_tokens=16))
    assert tokens(steps) != tokens(plain), "the penalties changed nothing"


async def test_lengths_words_and_stop_tokens(engine):
    limits = {"min_tokens": 10, "max_tokens": 14, "bad_words": ["Paris"], "stop_token_ids": [30]}
    steps = await assert_cut_anywhere(engine, chat(**limits))
    assert 10 <= len(tokens(steps)) <= 14
    assert "Paris" not in text(steps)


@both_ways
async def test_json_schema(engine, streaming):
    asked = chat("Describe Paris in JSON.", response_format=RESPONSE_FORMAT, max_tokens=40)
    steps = await assert_cut_anywhere(engine, asked, streaming=streaming)
    assert set(json.loads(text(steps))) == {"city", "large"}


@both_ways
@pytest.mark.parametrize("tool_choice", ["required", NAMED], ids=["required", "named"])
async def test_tools(engine, streaming, tool_choice):
    asked = chat("What is the weather in Paris?", tools=[WEATHER], tool_choice=tool_choice, max_tokens=80)
    steps = await assert_cut_anywhere(engine, asked, streaming=streaming)
    calls = [call for frame in frames(steps) for call in _tool_calls(frame)]
    assert calls[0]["function"]["name"] == "get_weather"
    arguments = "".join(call["function"].get("arguments") or "" for call in calls)
    assert json.loads(arguments)["city"] in ("Paris", "Rome")


def _tool_calls(frame):
    parts = [choice.get("delta") or choice.get("message") or {} for choice in frame["choices"]]
    return [call for part in parts for call in part.get("tool_calls") or []]


async def test_tool_call_by_the_models_own_words(engine):
    spoken = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Rome"}}\n</tool_call>'
    asked = chat("Weather?", tools=[WEATHER], structured_outputs={"choice": [spoken]}, max_tokens=60)
    steps = await assert_cut_anywhere(engine, asked)
    calls = [call for frame in frames(steps) for call in _tool_calls(frame)]
    assert json.loads("".join(call["function"].get("arguments") or "" for call in calls)) == {"city": "Rome"}
    assert frames(steps)[-1]["choices"][0]["finish_reason"] == "tool_calls"


@both_ways
async def test_chat_logprobs(engine, streaming):
    steps = await assert_cut_anywhere(engine, chat(logprobs=True, top_logprobs=2), streaming=streaming)
    told = [entry for frame in frames(steps) for entry in frame["choices"][0]["logprobs"]["content"]]
    assert len(told) == len(tokens(steps))
    assert all(len(entry["top_logprobs"]) == 2 for entry in told)


@both_ways
async def test_completion_logprobs_and_echo(engine, streaming):
    asked = completion(logprobs=1, echo=True, max_tokens=6)
    steps = await assert_cut_anywhere(engine, asked, streaming=streaming)
    assert text(steps).startswith("The capital of France is")
    offsets = [o for f in frames(steps) for o in f["choices"][0]["logprobs"]["text_offset"]]
    assert offsets == sorted(offsets)


async def test_prompt_logprobs(engine):
    steps = await assert_cut_anywhere(engine, chat(prompt_logprobs=1, max_tokens=6), streaming=False)
    assert len(frames(steps)[0]["prompt_logprobs"]) == steps[-1].usage.prompt_tokens


async def test_token_ids_of_the_prompt_come_once_and_without_a_role(engine):
    steps = await assert_cut_anywhere(engine, chat(return_token_ids=True, max_tokens=6))
    first, *others = frames(steps)
    assert len(first["prompt_token_ids"]) == steps[-1].usage.prompt_tokens
    assert not any(frame.get("prompt_token_ids") for frame in others)
    assert not any("role" in choice["delta"] for frame in frames(steps) for choice in frame["choices"])
