"""A gateway that is told to leave breaks nobody whose answer ends in time, not even a client that cannot resume."""

import asyncio
import signal
import time

import httpx
import openai
import pytest
from stack import Process, chat, stream
from tailrace_broker.termination_log import VARIABLE
from tailrace_protocol.settings import GatewaySettings, NatsSettings
from tailrace_protocol.wire import encode

CHAT = "/v1/chat/completions"


async def ready(client: httpx.AsyncClient, gateway: Process) -> tuple[int, str]:
    answer = await client.get(f"{gateway.url}/readyz")
    return answer.status_code, answer.text


async def first_answer(client: httpx.AsyncClient, gateway: Process) -> tuple[int, str]:
    """What /readyz says once anybody listens."""
    for _ in range(400):
        try:
            return await ready(client, gateway)
        except httpx.TransportError:
            await asyncio.sleep(0.05)
    raise AssertionError(gateway.log.read_text())


async def gone(gateway: Process, within: float) -> int:
    return await asyncio.to_thread(gateway.popen.wait, within)


async def metric(client: httpx.AsyncClient, gateway: Process, name: str) -> float:
    page = (await client.get(f"{gateway.url}/metrics")).text
    return next(float(line.split()[1]) for line in page.splitlines() if line.startswith(f"{name} "))


async def test_answers_that_end_before_the_deadline_are_served_to_their_end(stack, client):
    await stack.worker(tokens_per_s=20)
    gateway = await stack.gateway(drain_s=30, drain_quiet_s=0.5)
    url = f"{gateway.url}{CHAT}"
    streaming = asyncio.create_task(stream(client, "POST", url, json=chat(max_tokens=60)))
    whole = asyncio.create_task(client.post(url, json={**chat(max_tokens=60), "stream": False}))
    await asyncio.sleep(1)
    begun = time.monotonic()
    gateway.signal(signal.SIGTERM)
    answer, complete = await asyncio.gather(streaming, whole)
    assert (answer.error, answer.finish, answer.done) == (None, "length", True)
    assert len(answer.ids) == 61
    assert complete.json()["usage"]["completion_tokens"] == 60
    assert await gone(gateway, 5) == 0
    assert 1 < time.monotonic() - begun < 8, "it left when the answers had ended, and not at the deadline"


async def test_openais_own_client_does_not_notice(stack):
    await stack.worker(tokens_per_s=20)
    gateway = await stack.gateway(drain_s=30, drain_quiet_s=0.5)
    async with openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key="x", max_retries=0) as sdk:
        answer = await sdk.chat.completions.create(
            model="sim", messages=[{"role": "user", "content": "x"}], stream=True, max_tokens=60
        )
        chunks = [await anext(answer) for _ in range(10)]
        gateway.signal(signal.SIGTERM)
        chunks += [chunk async for chunk in answer]
    assert chunks[-1].choices[0].finish_reason == "length"
    assert await gone(gateway, 5) == 0


async def test_at_the_deadline_what_is_open_ends_with_its_position_and_goes_on_elsewhere(stack, client):
    await stack.worker(tokens_per_s=20)
    first, second = await stack.gateway(drain_s=1.5, drain_quiet_s=0.2), await stack.gateway()
    begun = asyncio.create_task(stream(client, "POST", f"{first.url}{CHAT}", json=chat(max_tokens=100)))
    await asyncio.sleep(1)
    told = time.monotonic()
    first.signal(signal.SIGTERM)
    answer = await begun
    assert 1.3 < time.monotonic() - told < 4
    assert answer.error["code"] == "shutting_down"
    assert answer.error["position"] == answer.ids[-1]
    rest = await stream(client, "GET", f"{second.url}/v1/streams/{answer.stream_id}?starting_after={answer.ids[-1]}")
    assert answer.ids + rest.ids == list(range(1, 102))
    assert await gone(first, 15) == 0


async def test_requests_that_still_arrive_are_served_and_their_connections_closed(stack, client):
    await stack.worker(tokens_per_s=500)
    gateway = await stack.gateway(drain_s=30, drain_quiet_s=3)
    assert "connection" not in (await client.get(f"{gateway.url}/v1/models")).headers
    gateway.signal(signal.SIGTERM)
    await asyncio.sleep(0.2)
    assert await ready(client, gateway) == (503, "draining\n")
    assert (await client.get(f"{gateway.url}/livez")).status_code == 200
    answer = await stream(client, "POST", f"{gateway.url}{CHAT}", json=chat(max_tokens=5))
    assert answer.finish == "length"
    assert answer.headers["connection"] == "close"
    assert await metric(client, gateway, "tailrace_gateway_draining") == 1
    assert await gone(gateway, 10) == 0


async def test_an_idle_gateway_stays_for_the_quiet_time_and_no_longer(stack):
    gateway = await stack.gateway(drain_s=30, drain_quiet_s=1.5)
    told = time.monotonic()
    gateway.signal(signal.SIGTERM)
    assert await gone(gateway, 10) == 0
    assert 1.4 < time.monotonic() - told < 5


async def test_a_second_signal_ends_the_drain_at_once(stack, client):
    await stack.worker(tokens_per_s=20)
    gateway = await stack.gateway(drain_s=60, drain_quiet_s=0.2)
    begun = asyncio.create_task(stream(client, "POST", f"{gateway.url}{CHAT}", json=chat(max_tokens=400)))
    await asyncio.sleep(0.5)
    gateway.signal(signal.SIGTERM)
    await asyncio.sleep(1)
    assert not begun.done()
    gateway.signal(signal.SIGTERM)
    answer = await asyncio.wait_for(begun, 5)
    assert answer.error["code"] == "shutting_down"
    assert await gone(gateway, 15) == 0


async def test_without_a_drain_the_first_signal_ends_it(stack, client):
    await stack.worker(tokens_per_s=20)
    gateway = await stack.gateway()
    begun = asyncio.create_task(stream(client, "POST", f"{gateway.url}{CHAT}", json=chat(max_tokens=400)))
    await asyncio.sleep(0.5)
    gateway.signal(signal.SIGTERM)
    assert (await asyncio.wait_for(begun, 3)).error["code"] == "shutting_down"
    assert await gone(gateway, 15) == 0


async def test_connections_and_open_responses_are_counted(stack, client):
    await stack.worker(tokens_per_s=10)
    gateway = await stack.gateway()
    posts = [
        asyncio.create_task(stream(client, "POST", f"{gateway.url}{CHAT}", json=chat(max_tokens=100), stop_after=20))
        for _ in range(3)
    ]
    await asyncio.sleep(1)
    assert await metric(client, gateway, "tailrace_gateway_connections") == 4, "three streams, and who asks"
    assert await metric(client, gateway, "tailrace_gateway_open_responses") == 4
    assert await metric(client, gateway, "tailrace_gateway_draining") == 0
    await asyncio.gather(*posts)


async def test_a_gateway_whose_broker_is_away_starts_waits_and_serves_when_it_comes(stack, client):
    await stack.broker.stop()
    gateway = await stack.gateway(wait=False)
    assert await first_answer(client, gateway) == (503, "waiting for the broker\n")
    assert (await client.get(f"{gateway.url}/livez")).status_code == 200
    refused = await client.post(f"{gateway.url}{CHAT}", json=chat())
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "broker_unavailable")
    assert refused.headers["retry-after"] == "1"
    assert (await client.get(f"{gateway.url}/metrics")).status_code == 200
    await stack.broker.restart()
    await stack.apply({})
    await stack.worker(tokens_per_s=100)
    await stack._until_ready(gateway)
    answer = await stream(client, "POST", f"{gateway.url}{CHAT}", json=chat(max_tokens=3))
    assert answer.finish == "length"


async def test_a_gateway_told_to_stop_while_it_waits_for_the_broker_stops(stack, client):
    await stack.broker.stop()
    gateway = await stack.gateway(wait=False, drain_s=60, drain_quiet_s=0.2)
    await first_answer(client, gateway)
    gateway.signal(signal.SIGTERM)
    assert await gone(gateway, 10) == 0


@pytest.mark.parametrize(
    ("settings", "words"), [(b"{}", "bad_settings: "), (None, "address_in_use: cannot listen on ")]
)
async def test_a_gateway_that_cannot_run_leaves_last_words(stack, tmp_path, monkeypatch, settings, words):
    file = tmp_path / "termination-log"
    file.touch()
    monkeypatch.setenv(VARIABLE, str(file))
    taken = encode(GatewaySettings("default", NatsSettings([]), host="127.0.0.1", port=stack.broker.port))
    gateway = stack._spawn("tailrace_gateway", taken if settings is None else settings)
    assert await gone(gateway, 20) == 2
    assert file.read_text().startswith(words)
