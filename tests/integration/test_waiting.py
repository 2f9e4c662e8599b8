"""A client that waits is never left in silence, and what it gets breaks no parser."""

import asyncio
import itertools
import json

import msgspec
from stack import chat, stream
from tailrace_protocol import subjects
from tailrace_protocol.reports import ModelReport
from tailrace_protocol.subjects import ModelKey
from tailrace_protocol.wire import encode

MODEL = ModelKey("default", "sim")


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


class Operator:
    """Says the same of the model twice a second, as the real one does while it is on its way."""

    def __init__(self, client, report):
        self.client, self.report = client, report

    async def run(self):
        while True:
            await self.client.publish(subjects.model_report(MODEL), encode(self.report))
            await asyncio.sleep(0.5)


async def test_the_operator_is_called_at_once_and_its_words_reach_the_client_as_they_change(stack, client):
    gateway = await stack.gateway(heartbeat_s=30)
    url = f"{gateway.url}/v1/chat/completions"
    async with stack.broker.connect("operator") as nc:
        calls = await nc.subscribe(subjects.ALL_WAKES)
        operator = Operator(nc, ModelReport("default", "sim", "Scheduled", "a worker is being scheduled"))
        talking = asyncio.create_task(operator.run())
        asked = asyncio.create_task(
            stream(client, "POST", url, json=chat(max_tokens=4), headers={"Tailrace-Events": "all"})
        )
        assert (await calls.next_msg(timeout=1)).subject == "tr.wake.default.sim"
        await asyncio.sleep(2.5)
        operator.report = msgspec.structs.replace(operator.report, state="ImagePulling", detail="pulling the image")
        await asyncio.sleep(2.5)
        await stack.worker(tokens_per_s=100)
        answer = await asked
        talking.cancel()
    told = [json.loads(frame.data) for frame in answer.frames if frame.event == "tailrace.progress"]
    details = [progress["detail"] for progress in told]
    assert "a worker is being scheduled" in details
    assert "pulling the image" in details
    assert len(details) == len(set(details)), "each once: there was no need for a heartbeat"
    assert answer.finish == "length"


async def test_who_would_wait_in_vain_is_refused_soon_with_the_reason(stack, client):
    gateway = await stack.gateway(heartbeat_s=30)
    report = ModelReport("default", "sim", "NoGPUFree", "no node has 1 free GPU: add one", hopeless=True)
    async with stack.broker.connect("operator") as nc:
        talking = asyncio.create_task(Operator(nc, report).run())
        whole = client.post(f"{gateway.url}/v1/chat/completions", json={**chat(), "stream": False})
        answer = await stream(client, "POST", f"{gateway.url}/v1/chat/completions", json=chat())
        refused = await whole
        talking.cancel()
    assert answer.error["code"] == "no_capacity"
    assert answer.error["retryable"] is True
    assert "no node has 1 free GPU: add one" in answer.error["message"]
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "no_capacity")
