"""Cancel reaches the engine; a disconnect does what the request asked for."""

import asyncio
import json
import time

import pytest
from stack import chat, running_stack, stream
from tailrace_protocol import subjects
from tailrace_protocol.reports import decode_worker_report


async def _idle(stack, within=5.0):
    """Wait until every worker reports no active stream; how long it took in seconds."""
    start = time.monotonic()
    async with stack.broker.connect("operator") as nc:
        reports = await nc.subscribe(subjects.ALL_WORKER_REPORTS)
        while time.monotonic() - start < within:
            report = decode_worker_report((await reports.next_msg(timeout=5)).data)
            if report.active == 0:
                return time.monotonic() - start
    raise AssertionError("the worker is still generating")


async def _active(stack):
    async with stack.broker.connect("operator") as nc:
        reports = await nc.subscribe(subjects.ALL_WORKER_REPORTS)
        return decode_worker_report((await reports.next_msg(timeout=5)).data).active


@pytest.mark.parametrize("elsewhere", [False, True])
async def test_delete_stops_the_engine_and_ends_the_stream(stack, client, elsewhere):
    await stack.worker(tokens_per_s=20)
    first = await stack.gateway()
    second = await stack.gateway() if elsewhere else first
    url = f"{first.url}/v1/chat/completions"
    headers = {"Tailrace-On-Disconnect": "continue"}
    begun = await stream(client, "POST", url, json=chat(max_tokens=100_000), headers=headers, stop_after=5)
    deleted = await client.delete(f"{second.url}/v1/streams/{begun.stream_id}")
    assert (deleted.status_code, deleted.json()["status"]) == (200, "cancelled")
    await _idle(stack)
    again = await stream(client, "GET", f"{second.url}/v1/streams/{begun.stream_id}")
    assert again.error["code"] == "cancelled"
    assert again.finish is None
    twice = await client.delete(f"{first.url}/v1/streams/{begun.stream_id}")
    assert (twice.status_code, twice.json()["status"]) == (200, "cancelled")


async def test_the_reader_of_a_cancelled_stream_is_told(stack, client):
    await stack.worker(tokens_per_s=20)
    gateway = await stack.gateway()

    async def cancel(stream_id):
        await asyncio.sleep(0.5)
        await client.delete(f"{gateway.url}/v1/streams/{stream_id}")

    async with client.stream("POST", f"{gateway.url}/v1/chat/completions", json=chat(max_tokens=100_000)) as response:
        cancelling = asyncio.create_task(cancel(response.headers["tailrace-stream-id"]))
        body = await response.aread()
        await cancelling
    assert b'"code":"cancelled"' in body
    assert body.rstrip().endswith(b"data: [DONE]")


async def test_a_waiting_request_is_cancelled_out_of_the_queue(stack, client):
    gateway = await stack.gateway()
    url = f"{gateway.url}/v1/chat/completions"
    headers = {"Tailrace-On-Disconnect": "continue"}
    begun = await stream(client, "POST", url, json=chat(max_tokens=50), headers=headers, stop_after=1)
    deleted = await client.delete(f"{gateway.url}/v1/streams/{begun.stream_id}")
    assert deleted.json()["status"] == "cancelled"
    await stack.worker(tokens_per_s=50)
    await asyncio.sleep(0.5)
    assert await _active(stack) == 0
    again = await stream(client, "GET", f"{gateway.url}/v1/streams/{begun.stream_id}")
    assert again.error["code"] == "cancelled"


async def test_leaving_cancels_after_the_grace(tmp_path, client):
    async with running_stack(tmp_path, {"disconnect": {"grace": "500ms"}}) as stack:
        await stack.worker(tokens_per_s=20)
        gateway = await stack.gateway()
        url = f"{gateway.url}/v1/chat/completions"
        begun = await stream(client, "POST", url, json=chat(max_tokens=100_000), stop_after=5)
        await _idle(stack)
        again = await stream(client, "GET", f"{gateway.url}/v1/streams/{begun.stream_id}")
        assert again.error["code"] == "cancelled"


async def test_coming_back_within_the_grace_keeps_the_stream_also_on_another_gateway(tmp_path, client):
    async with running_stack(tmp_path, {"disconnect": {"grace": "1s"}}) as stack:
        await stack.worker(tokens_per_s=20)
        first, second = await stack.gateway(), await stack.gateway()
        url = f"{first.url}/v1/chat/completions"
        begun = await stream(client, "POST", url, json=chat(max_tokens=80), stop_after=5)
        address = f"{second.url}/v1/streams/{begun.stream_id}?starting_after={begun.ids[-1]}"
        rest = await stream(client, "GET", address)
        assert begun.ids + rest.ids == list(range(1, 82))
        assert rest.finish == "length"


async def test_continue_lets_it_run_to_its_end(tmp_path, client):
    async with running_stack(tmp_path, {"disconnect": {"grace": "0s"}}) as stack:
        await stack.worker(tokens_per_s=40)
        gateway = await stack.gateway()
        url = f"{gateway.url}/v1/chat/completions"
        headers = {"Tailrace-On-Disconnect": "continue"}
        begun = await stream(client, "POST", url, json=chat(max_tokens=60), headers=headers, stop_after=3)
        await asyncio.sleep(2)
        again = await stream(client, "GET", f"{gateway.url}/v1/streams/{begun.stream_id}")
        assert again.finish == "length"
        assert len(again.ids) == 61


async def test_leaving_an_answer_without_streaming_cancels_it_too(tmp_path, client):
    async with running_stack(tmp_path, {"disconnect": {"grace": "0s"}}) as stack:
        await stack.worker(tokens_per_s=20)
        gateway = await stack.gateway()
        body = {**chat(max_tokens=100_000), "stream": False}
        post = asyncio.create_task(client.post(f"{gateway.url}/v1/chat/completions", json=body))
        await asyncio.sleep(0.7)
        assert await _active(stack) == 1
        post.cancel()
        await _idle(stack)


async def _settled(client, gateway, within=6.0):
    """Wait until the gateway serves nobody and has no unfinished stream of its own."""
    for _ in range(int(within / 0.1)):
        metrics = (await client.get(f"{gateway.url}/metrics")).text
        if "tailrace_gateway_open_readers 0.0" in metrics and "tailrace_gateway_own_streams 0.0" in metrics:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(metrics)


@pytest.mark.parametrize("after_s", [0.0, 0.05, 0.4])
@pytest.mark.parametrize("streaming", [True, False])
async def test_a_client_that_leaves_before_anything_came_leaves_nothing_behind(tmp_path, client, after_s, streaming):
    async with running_stack(tmp_path, {"disconnect": {"grace": "200ms"}}) as stack:
        gateway = await stack.gateway()
        body = json.dumps({**chat(max_tokens=100_000), "stream": streaming}).encode()
        head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
        _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(head + body)
        await writer.drain()
        await asyncio.sleep(after_s)
        writer.transport.abort()
        await asyncio.sleep(0.5)
        await _settled(client, gateway)
        await stack.worker(tokens_per_s=20)
        await asyncio.sleep(0.7)
        assert await _active(stack) == 0


async def test_a_refused_request_leaves_nothing_behind(stack, client):
    await stack.worker(tokens_per_s=500)
    gateway = await stack.gateway()
    for streaming in (True, False):
        refused = await client.post(
            f"{gateway.url}/v1/chat/completions", json={**chat(max_tokens=0), "stream": streaming}
        )
        assert refused.status_code == 400
    await _settled(client, gateway)
