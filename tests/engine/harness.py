"""Asks the engine, cuts its answers, and compares what comes after the cut."""

import asyncio
import json
import re
from collections import defaultdict

import msgspec
from tailrace_protocol.requests import Request
from tailrace_worker.engines.engine import Job

RESPONSE_ID = "chatcmpl-0123456789abcdef"
CREATED = 1_700_000_000
_TOOL_CALL_ID = re.compile(rb'"id":"(chatcmpl-tool-|call_)[^"]*"')
#: As many as the engine runs at once.
_AT_ONCE = 8


def chat(text="What is the capital of France?", **fields):
    """A greedy chat request with a short answer."""
    return "chat", {"messages": [{"role": "user", "content": text}], "temperature": 0, "max_tokens": 12, **fields}


def completion(prompt="The capital of France is", **fields):
    """A greedy legacy completion with a short answer."""
    return "completion", {"prompt": prompt, "temperature": 0, "max_tokens": 10, **fields}


def job(asked, *, streaming=True, replay=(), **options):
    """The job that a worker would make of the request."""
    kind, fields = asked
    body = json.dumps({"model": "smollm2", **fields}).encode()
    request = Request(
        stream="gw-1-0123456789abcdef",
        kind=kind,
        response_id=RESPONSE_ID,
        created=CREATED,
        streaming=streaming,
        body=msgspec.Raw(body),
    )
    return Job(request, body, tuple(replay), **options)


async def answer(engine, asked, **options):
    """All steps of an answer."""
    return [step async for step in await engine.generate(job(asked, **options))]


def frames(steps):
    """All frames, as JSON; ids of tool calls are random wherever they are made, so they are left out."""
    return [json.loads(_TOOL_CALL_ID.sub(b'"id":"tool"', frame)) for step in steps for frame in step.frames]


def text(steps):
    """The text of the first choice."""
    return "".join(_text(choice) for frame in frames(steps) for choice in frame["choices"] if choice["index"] == 0)


def _text(choice):
    part = choice.get("delta") or choice.get("message") or choice
    return part.get("content") or part.get("text") or ""


def tokens(steps, choice=0):
    """The token ids of a choice."""
    return [token for step in steps for group in step.groups if group.choice == choice for token in group.tokens]


def by_choice(all_frames):
    """Frames in order within each choice: choices are generated side by side, in no order between them."""
    sorted_out = defaultdict(list)
    for frame in all_frames:
        sorted_out[tuple(choice["index"] for choice in frame["choices"])].append(frame)
    return dict(sorted_out)


def alike(left, right):
    """Equal, but for the last digits of floats: a prompt computed at once rounds differently from token by token."""
    if isinstance(left, float) and isinstance(right, float):
        return abs(left - right) < 1e-2
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(alike(value, right[key]) for key, value in left.items())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(alike, left, right))
    return type(left) is type(right) and left == right


async def assert_cut_anywhere(engine, asked, *, streaming=True, **options):
    """Every continuation is, frame by frame, what the undisturbed run would have written. Returns that run."""
    whole = await answer(engine, asked, streaming=streaming, **options)
    pieces = [step.groups for step in whole] if streaming else [(g,) for step in whole for g in step.groups]
    gate = asyncio.Semaphore(_AT_ONCE)

    async def cut(position):
        async with gate:
            rest = await answer(engine, asked, streaming=streaming, replay=pieces[:position], **options)
        before = whole[:position] if streaming else []
        continued, undisturbed = by_choice(frames(before + rest)), by_choice(frames(whole))
        assert alike(continued, undisturbed), f"cut after {position} of {len(pieces)}: {continued} != {undisturbed}"
        assert rest[-1].usage == whole[-1].usage, f"usage, cut after {position}"
        assert [step.usage for step in rest[:-1]] == [None] * (len(rest) - 1)

    assert len(pieces) > 2, "too short an answer to cut"
    await asyncio.gather(*(cut(position) for position in range(1, len(pieces))))
    return whole
