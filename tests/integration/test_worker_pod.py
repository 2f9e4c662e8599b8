"""What Kubernetes sees of a worker: probes, metrics and last words, of real processes."""

import asyncio
import re
import signal
import time

import httpx
import pytest
from stack import Process, Stack, chat, free_port, running_stack, stream
from tailrace_broker.termination_log import VARIABLE


@pytest.fixture
def last_words(tmp_path, monkeypatch):
    """The file that the kubelet would read."""
    file = tmp_path / "termination-log"
    file.touch()
    monkeypatch.setenv(VARIABLE, str(file))
    return file


async def with_port(stack: Stack, **settings) -> Process:
    port = free_port()
    worker = await stack.worker(http_host="127.0.0.1", http_port=port, wait=False, **settings)
    worker.port = port
    return worker


async def probe(client: httpx.AsyncClient, worker: Process, page: str) -> tuple[int, str]:
    answer = await client.get(f"{worker.url}/{page}")
    return answer.status_code, answer.text


async def until_served(client: httpx.AsyncClient, worker: Process) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            await client.get(f"{worker.url}/livez")
            return
        except httpx.TransportError:
            await asyncio.sleep(0.05)
    raise AssertionError(worker.log.read_text())


async def test_a_worker_waits_for_its_broker_alive_and_unready_and_serves_when_it_comes(stack, client):
    await stack.broker.stop()
    worker = await with_port(stack)
    await until_served(client, worker)
    assert (await probe(client, worker, "livez"))[0] == 200
    for page in ("startupz", "readyz"):
        assert await probe(client, worker, page) == (503, "starting: waiting for the broker\n")
    await stack.broker.restart()
    await stack.until_ready(worker)
    for page in ("livez", "startupz", "readyz"):
        assert (await probe(client, worker, page))[0] == 200
    gateway = await stack.gateway()
    await stack.apply({})
    answer = await stream(client, "POST", f"{gateway.url}/v1/chat/completions", json=chat(max_tokens=3))
    assert answer.finish == "length"


async def test_a_worker_told_to_stop_while_it_waits_for_the_broker_stops_at_once_and_says_so(stack, client, last_words):
    await stack.broker.stop()
    worker = await with_port(stack)
    await until_served(client, worker)
    worker.signal(signal.SIGTERM)
    assert await asyncio.to_thread(worker.popen.wait, 5) == 1
    words = r"startup_timeout: told to stop after \d s, .*\(waiting for the broker\): .* raise startup.deadline"
    assert re.fullmatch(words, last_words.read_text())


async def test_a_worker_whose_broker_stays_away_gives_up_and_says_so(stack, last_words):
    await stack.broker.stop()
    worker = await stack.worker(wait=False, broker_wait_s=1.0)
    assert await asyncio.to_thread(worker.popen.wait, 20) == 1
    assert re.match(r"broker_unavailable: no NATS server answers at nats://127.0.0.1:\d+ ", last_words.read_text())


async def test_a_worker_whose_port_is_taken_says_so(stack, last_words):
    worker = await stack.worker(wait=False, http_host="127.0.0.1", http_port=stack.broker.port)
    assert await asyncio.to_thread(worker.popen.wait, 20) == 1
    assert last_words.read_text().startswith(f"address_in_use: cannot listen on 127.0.0.1:{stack.broker.port}: ")


async def test_wrong_settings_are_last_words_too(stack, last_words):
    worker = await stack.worker(wait=False, capacity=0)
    assert await asyncio.to_thread(worker.popen.wait, 20) == 2
    assert last_words.read_text().startswith("bad_settings: wrong settings in ")
    assert "capacity is 0; it must be at least 1" in last_words.read_text()


async def test_outside_of_a_pod_no_file_is_made(stack, tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "nowhere"))
    worker = await stack.worker(wait=False, capacity=0)
    assert await asyncio.to_thread(worker.popen.wait, 20) == 2
    assert not (tmp_path / "nowhere").exists()


def value(page: str, name: str) -> float:
    found = re.search(rf"^{re.escape(name)} (\S+)$", page, re.MULTILINE)
    assert found is not None, f"{name} is not in\n{page}"
    return float(found.group(1))


async def until_value(client: httpx.AsyncClient, worker: Process, name: str, wanted: float) -> None:
    """Wait for a metric: what a client sees may come a moment before it is counted."""
    deadline, found = time.monotonic() + 5, None
    while found != wanted and time.monotonic() < deadline:
        found = value((await client.get(f"{worker.url}/metrics")).text, name)
        await asyncio.sleep(0.05)
    assert found == wanted, name


async def test_metrics_tell_of_every_stream_token_and_hand_over(tmp_path, client):
    async with running_stack(tmp_path) as stack:
        first = await with_port(stack, tokens_per_s=20, drain_s=20)
        await stack.until_ready(first)
        gateway = await stack.gateway()
        url = f"{gateway.url}/v1/chat/completions"
        assert (await stream(client, "POST", url, json=chat(max_tokens=5))).finish == "length"
        running = asyncio.create_task(stream(client, "POST", url, json=chat(max_tokens=200)))
        await asyncio.sleep(1)
        await until_value(client, first, 'tailrace_worker_streams_total{model="sim",outcome="finished"}', 1)
        page = (await client.get(f"{first.url}/metrics")).text
        assert value(page, 'tailrace_worker_active_streams{model="sim"}') == 1
        assert value(page, 'tailrace_worker_state{model="sim",state="ready"}') == 1
        assert 5 < value(page, 'tailrace_worker_tokens_total{model="sim"}') < 205
        assert value(page, 'tailrace_worker_continuations_total{model="sim"}') == 0
        second = await with_port(stack, tokens_per_s=20)
        await stack.until_ready(second)
        first.signal(signal.SIGTERM)
        assert (await running).finish == "length"
        await until_value(client, second, 'tailrace_worker_continuations_total{model="sim"}', 1)
        await until_value(client, second, 'tailrace_worker_streams_total{model="sim",outcome="finished"}', 1)


async def test_a_draining_worker_lives_on_unready_and_counts_what_it_hands_over(stack, client):
    worker = await with_port(stack, tokens_per_s=20, drain_s=3)
    await stack.until_ready(worker)
    gateway = await stack.gateway()
    url = f"{gateway.url}/v1/chat/completions"
    running = asyncio.create_task(stream(client, "POST", url, json=chat(max_tokens=200), stop_after=80))
    await until_value(client, worker, 'tailrace_worker_active_streams{model="sim"}', 1)
    worker.signal(signal.SIGTERM)
    await asyncio.sleep(0.5)
    assert (await probe(client, worker, "livez"))[0] == 200
    assert (await probe(client, worker, "readyz")) == (503, "draining\n")
    page = (await client.get(f"{worker.url}/metrics")).text
    assert value(page, 'tailrace_worker_state{model="sim",state="draining"}') == 1
    running.cancel()


async def test_an_unknown_page_names_the_pages(stack, client):
    worker = await with_port(stack)
    await stack.until_ready(worker)
    status, text = await probe(client, worker, "healthz")
    assert (status, text) == (404, "served here: /livez, /startupz, /readyz, /metrics\n")


async def test_a_worker_that_hangs_does_not_look_alive(stack, client):
    worker = await with_port(stack)
    await stack.until_ready(worker)
    worker.signal(signal.SIGSTOP)
    with pytest.raises(httpx.TimeoutException):
        await client.get(f"{worker.url}/livez", timeout=1)
