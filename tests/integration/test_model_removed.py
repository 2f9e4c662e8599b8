"""A model that is deleted takes its streams with it, and says so."""

import asyncio
import time

import pytest
from stack import chat, stream
from tailrace_operator.apply.broker import remove_model
from tailrace_protocol.subjects import ModelKey

KEY = ModelKey("default", "sim")


async def remove(stack):
    async with stack.broker.connect() as client:
        await remove_model(client.jetstream(timeout=10), KEY)


@pytest.mark.parametrize("with_worker", [True, False], ids=["generating", "waiting"])
async def test_its_streams_end_at_once_with_a_clear_error(stack, client, with_worker):
    if with_worker:
        await stack.worker(tokens_per_s=20)
    first, second = await stack.gateway(), await stack.gateway()
    begun = asyncio.create_task(stream(client, "POST", f"{first.url}/v1/chat/completions", json=chat(max_tokens=400)))
    await asyncio.sleep(1)
    stream_id = await only_stream(stack)
    elsewhere = asyncio.create_task(stream(client, "GET", f"{second.url}/v1/streams/{stream_id}"))
    body = {**chat(max_tokens=400), "stream": False}
    single = asyncio.create_task(client.post(f"{first.url}/v1/chat/completions", json=body))
    await asyncio.sleep(1)
    told = time.monotonic()
    await remove(stack)
    answer, resumed, refused = await asyncio.gather(begun, elsewhere, single)
    assert time.monotonic() - told < 3
    for ended in (answer, resumed):
        assert ended.error["code"] == "model_removed"
        assert ended.error["retryable"] is False
        assert "'sim' was removed" in ended.error["message"]
        assert ended.error["position"] == ended.ids[-1]
        assert ended.done
    assert (refused.status_code, refused.json()["error"]["code"]) == (410, "model_removed")


async def only_stream(stack) -> str:
    """The id of the one stream that is in the log."""
    async with stack.broker.connect() as client:
        jetstream = client.jetstream()
        info = await jetstream.stream_info("tr_log_default_sim", subjects_filter="tr.log.>")
        (subject,) = info.state.subjects
        return subject.removeprefix("tr.log.")


async def test_requests_for_it_are_refused_as_for_any_unknown_model_until_it_is_made_again(stack, client):
    await stack.worker(tokens_per_s=100)
    gateway = await stack.gateway()
    url = f"{gateway.url}/v1/chat/completions"
    await remove(stack)
    await asyncio.sleep(0.5)
    refused = await client.post(url, json=chat())
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "model_not_found")
    await stack.apply({})
    for _ in range(50):
        answer = await stream(client, "POST", url, json=chat(max_tokens=3))
        if answer.status == 200:
            break
        await asyncio.sleep(0.1)
    assert answer.finish == "length"
