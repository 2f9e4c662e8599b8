"""Bad input is refused before anything is generated, with the field's name and what to do about it."""

import json

import msgspec
import pytest
from tailrace_protocol.errors import ErrorCode, TailraceError
from tailrace_protocol.requests import Request

from .harness import answer, chat, completion, job

INVALID, TOO_LONG = ErrorCode.INVALID_REQUEST, ErrorCode.CONTEXT_LENGTH_EXCEEDED
LONG = "word " * 3000


def schema(value):
    return {"type": "json_schema", "json_schema": {"name": "any", "schema": value}}


REFUSED = {
    "no messages": (("chat", {}), INVALID, "messages"),
    "messages of a wrong type": (("chat", {"messages": "hi"}), INVALID, "messages"),
    "a number as text": (chat(temperature="hot"), INVALID, "temperature"),
    "a number out of range": (chat(top_p=7), INVALID, "top_p"),
    "no choice at all": (chat(n=0), INVALID, "n"),
    "an empty stop string": (chat(stop=[""]), INVALID, "stop"),
    "an unknown token": (chat(logit_bias={"999999": 1}), INVALID, "logit_bias"),
    "more tokens than the context": (chat(max_tokens=100_000), INVALID, "max_tokens"),
    "a tool choice without tools": (chat(tool_choice="required"), INVALID, "tool_choice"),
    "an impossible schema": (chat(response_format=schema({"type": "nonsense"})), INVALID, "response_format"),
    "an unknown format": (chat(response_format={"type": "xml"}), INVALID, "response_format.type"),
    "a broken expression": (chat(structured_outputs={"regex": "(("}), INVALID, "structured_outputs"),
    "beam search": (chat(use_beam_search=True), INVALID, "use_beam_search"),
    "too many log-probabilities": (chat(logprobs=True, top_logprobs=500), INVALID, "logprobs"),
    "a prompt of a wrong type": (completion(prompt={"a": 1}), INVALID, "prompt"),
    "a long conversation": (chat(LONG), TOO_LONG, "messages"),
    "a long prompt": (completion(LONG), TOO_LONG, "prompt"),
    "another model": (("chat", {**chat()[1], "model": "gpt-4"}), ErrorCode.MODEL_NOT_FOUND, "model"),
}


@pytest.mark.parametrize("streaming", [True, False], ids=["streaming", "whole"])
@pytest.mark.parametrize(("asked", "code", "field"), REFUSED.values(), ids=REFUSED.keys())
async def test_a_refusal_names_the_field(engine, asked, code, field, streaming):
    with pytest.raises(TailraceError) as refused:
        await engine.generate(job(asked, streaming=streaming))
    assert (refused.value.code, refused.value.param) == (code, field)
    assert field.split(".")[0] in refused.value.message or code is ErrorCode.MODEL_NOT_FOUND
    assert "parameter=" not in refused.value.message
    assert "\n" not in refused.value.message
    assert engine.running == 0


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff", b'"text"'])
async def test_a_body_that_is_no_json_object(engine, body):
    request = Request(stream="s", kind="chat", response_id="r", created=1, streaming=True, body=msgspec.Raw(b"{}"))
    asked = job(chat())
    with pytest.raises(TailraceError, match="JSON") as refused:
        await engine.generate(type(asked)(request, body))
    assert refused.value.code is INVALID


async def test_a_long_prompt_is_told_with_the_limit(engine):
    with pytest.raises(TailraceError, match="2048 tokens"):
        await engine.generate(job(chat(LONG)))


async def test_a_client_cannot_pretend_a_continuation(engine):
    """The key under which the engine core gets the logged tokens is ours alone."""
    from tailrace_worker.engines.vllm_core.resumption import RESUMED

    plain = await answer(engine, chat(max_tokens=4))
    forged = await answer(engine, chat(max_tokens=4, vllm_xargs={RESUMED: [1, 2, 3]}))
    assert [json.loads(f) for s in forged for f in s.frames] == [json.loads(f) for s in plain for f in s.frames]
