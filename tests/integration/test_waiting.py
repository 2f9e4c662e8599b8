"""A client that waits is never left in silence, and what it gets breaks no parser."""

import asyncio
import itertools

from stack import chat, stream


async def test_the_first_event_comes_before_any_worker_does(stack, client):
    gateway = await stack.gateway(heartbeat_s=0.3)
    answer = await stream(client, "POST", f"{gateway.url}/v1/chat/completions", json=chat(), stop_after=1)
    assert answer.ids == [1]
    assert answer.chunks[0]["choices"][0]["delta"]["role"] == "assistant"


async def test_heartbeats_before_the_first_token_and_between_tokens_are_lone_comment_lines(stack, client):
    gateway = await stack.gateway(heartbeat_s=0.2)

    async def later():
        await asyncio.sleep(1)
        await stack.worker(tokens_per_s=2)

    starting = asyncio.create_task(later())
    answer = await stream(client, "POST", f"{gateway.url}/v1/chat/completions", json=chat(max_tokens=4))
    await starting
    assert answer.ids == [1, 2, 3, 4, 5]
    assert any("no worker" in comment for comment in answer.comments)
    assert "heartbeat" in answer.comments
    # A blank line right after a comment would be an event to OpenAI's Python SDK.
    lines = answer.body.split(b"\n")
    after_comments = [after for line, after in itertools.pairwise(lines) if line.startswith(b":")]
    assert all(after for after in after_comments)


async def test_who_asks_gets_named_progress_and_attempt_events(stack, client):
    gateway = await stack.gateway(heartbeat_s=0.2)

    async def later():
        await asyncio.sleep(0.6)
        await stack.worker(tokens_per_s=100)

    starting = asyncio.create_task(later())
    url = f"{gateway.url}/v1/chat/completions"
    answer = await stream(client, "POST", url, json=chat(max_tokens=4), headers={"Tailrace-Events": "all"})
    await starting
    names = [frame.event for frame in answer.frames if frame.event]
    assert "tailrace.progress" in names
    assert "tailrace.attempt" in names
    assert answer.finish == "length"


async def test_a_plain_call_gets_no_named_event(stack, client):
    await stack.worker(tokens_per_s=100)
    gateway = await stack.gateway()
    answer = await stream(client, "POST", f"{gateway.url}/v1/chat/completions", json=chat(max_tokens=4))
    assert all(frame.event is None for frame in answer.frames)
