"""A gateway that leaves tells its clients where they stand; their streams live on elsewhere."""

import asyncio
import signal
import socket
import time

import psutil
from stack import chat, stream


async def test_a_gateway_told_to_stop_ends_responses_with_the_position_and_the_stream_goes_on(stack, client):
    await stack.worker(tokens_per_s=50)
    first, second = await stack.gateway(shutdown_s=5), await stack.gateway()
    url = f"{first.url}/v1/chat/completions"
    undisturbed = await stream(client, "POST", f"{second.url}/v1/chat/completions", json=chat(max_tokens=100))
    begun = await stream(
        client,
        "POST",
        url,
        json=chat(max_tokens=100),
        on_frame=lambda f: len(f) == 20 and first.signal(signal.SIGTERM),
    )
    assert begun.error["code"] == "shutting_down"
    assert begun.error["position"] == begun.ids[-1]
    rest = await stream(client, "GET", f"{second.url}/v1/streams/{begun.stream_id}?starting_after={begun.ids[-1]}")
    assert begun.text + rest.text == undisturbed.text
    assert first.popen.wait(15) == 0


async def test_an_answer_without_streaming_is_refused_as_retryable_when_its_gateway_stops(stack, client):
    await stack.worker(tokens_per_s=5)
    gateway = await stack.gateway(shutdown_s=5)
    body = {**chat(max_tokens=200), "stream": False}
    post = asyncio.create_task(client.post(f"{gateway.url}/v1/chat/completions", json=body))
    await asyncio.sleep(0.8)
    gateway.signal(signal.SIGTERM)
    answer = await post
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "shutting_down")
    assert gateway.popen.wait(15) == 0


async def test_a_killed_gateway_costs_its_clients_a_reconnect_and_no_token(stack, client):
    await stack.worker(tokens_per_s=50)
    first, second = await stack.gateway(), await stack.gateway()
    undisturbed = await stream(client, "POST", f"{second.url}/v1/chat/completions", json=chat(max_tokens=100))
    url = f"{first.url}/v1/chat/completions"
    begun = await stream(client, "POST", url, json=chat(max_tokens=100), stop_after=20)
    first.kill()
    rest = await stream(client, "GET", f"{second.url}/v1/streams/{begun.stream_id}?starting_after={begun.ids[-1]}")
    assert begun.text + rest.text == undisturbed.text
    assert begun.ids + rest.ids == undisturbed.ids


async def test_a_client_that_does_not_read_costs_little_memory_and_gets_everything_later(stack, client):
    # A pace that a gateway keeps up with on a busy machine, too: what waits for it to read is not meant here.
    await stack.worker(tokens_per_s=10_000, capacity=8)
    gateway = await stack.gateway(max_unsent_bytes=64 * 1024)
    body = b'{"model":"sim","messages":[{"role":"user","content":"x"}],"stream":true,"max_tokens":60000}'
    request = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(
        body
    )
    process = psutil.Process(gateway.pid)
    before = process.memory_info().rss
    loop = asyncio.get_running_loop()
    stalled = socket.socket()
    stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
    stalled.connect(("127.0.0.1", gateway.port))
    stalled.setblocking(False)
    await loop.sock_sendall(stalled, request + body)
    await asyncio.sleep(8)
    held = process.memory_info().rss - before
    received, start = b"", time.monotonic()
    while not received.endswith(b"0\r\n\r\n") and time.monotonic() - start < 90:
        chunk = await loop.sock_recv(stalled, 1 << 20)
        if not chunk:
            break
        received += chunk
    stalled.close()
    assert received.count(b"\nid: ") + received.count(b"\r\nid: ") >= 60_000
    assert b"data: [DONE]" in received
    assert b'"error"' not in received
    # 60,000 events are some 14 MB: a gateway that kept them for the client would show it.
    assert held < 8 * 1024 * 1024
