"""A worker that dies, hangs or leaves is replaced in the middle of a sentence, on the same open connection."""

import asyncio
import signal
import time

import pytest
from stack import chat, running_stack, stream
from tailrace_protocol import subjects
from tailrace_protocol.events import Checkpoint, Delta, decode_event
from tailrace_protocol.reports import decode_worker_report
from tailrace_protocol.subjects import ModelKey

VERBOSE = {"Tailrace-Events": "all"}


class Fault:
    """Sends a signal to the writing worker at the 20th event, and keeps the longest pause that the client saw."""

    def __init__(self, stack, number, at=20):
        self.stack, self.number, self.at = stack, number, at
        self.times = []
        self.victim = None
        self.happened = asyncio.Event()

    def __call__(self, frames):
        self.times.append(time.monotonic())
        if len(frames) >= self.at and self.victim is None:
            self.victim = self.stack.writer(frames)
            self.victim.signal(self.number)
            self.happened.set()

    @property
    def longest_pause(self):
        return max(b - a for a, b in zip(self.times, self.times[1:], strict=False))


@pytest.mark.parametrize("fault", [signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM])
async def test_another_worker_continues_the_sentence(stack, client, fault):
    for _ in range(2):
        await stack.worker(tokens_per_s=100)
    gateway = await stack.gateway()
    url, body = f"{gateway.url}/v1/chat/completions", chat(max_tokens=60)
    undisturbed = await stream(client, "POST", url, json=body)
    disturb = Fault(stack, fault)
    answer = await stream(client, "POST", url, json=body, headers=VERBOSE, on_frame=disturb)
    assert disturb.victim is not None
    assert answer.text == undisturbed.text
    assert answer.ids == undisturbed.ids
    assert (answer.finish, answer.done) == ("length", True)
    assert [a["attempt"] for a in answer.attempts] == [1, 2]
    print(f"{fault.name}: longest pause {disturb.longest_pause * 1000:.0f} ms")
    if fault is signal.SIGKILL:
        handed_back = (await client.get(f"{gateway.url}/metrics")).text
        assert "tailrace_gateway_requests_handed_back 1.0" in handed_back, "known by the advisory, not by ack_wait"


async def test_a_hung_worker_that_wakes_up_writes_nothing_into_the_stream_it_lost(stack, client):
    for _ in range(2):
        await stack.worker(tokens_per_s=50)
    gateway = await stack.gateway()
    url, body = f"{gateway.url}/v1/chat/completions", chat(max_tokens=150)
    undisturbed = await stream(client, "POST", url, json=body)
    hang = Fault(stack, signal.SIGSTOP)

    def wake(frames):
        hang(frames)
        if len(frames) == 60:
            hang.victim.signal(signal.SIGCONT)

    answer = await stream(client, "POST", url, json=body, headers=VERBOSE, on_frame=wake)
    assert answer.text == undisturbed.text
    assert answer.ids == undisturbed.ids
    again = await stream(client, "GET", f"{gateway.url}/v1/streams/{answer.stream_id}")
    assert again.text == undisturbed.text


async def test_what_a_dead_worker_said_last_is_in_the_log_before_another_goes_on(stack, client):
    """The broker gave it to the gateway, and to the client; but its servers had not passed it to the log yet."""
    for _ in range(2):
        await stack.worker(tokens_per_s=100)
    gateway = await stack.gateway()
    url, body = f"{gateway.url}/v1/chat/completions", chat(max_tokens=60)
    undisturbed = await stream(client, "POST", url, json=body)
    pause = Fault(stack, signal.SIGSTOP)
    asked = asyncio.create_task(stream(client, "POST", url, json=body, headers=VERBOSE, on_frame=pause))
    await pause.happened.wait()
    await lose_last_tokens(stack, 3)
    pause.victim.signal(signal.SIGKILL)
    answer = await asked
    assert answer.error is None
    assert answer.text == undisturbed.text
    assert answer.ids == undisturbed.ids
    assert [a["attempt"] for a in answer.attempts] == [1, 2]


async def lose_last_tokens(stack, count):
    """Take the newest events with tokens out of the log that was written last, and what stands between them."""
    name = subjects.log_stream(ModelKey("default", "sim"))
    async with stack.broker.connect("operator") as nc:
        js = nc.jetstream()
        sequence = (await js.stream_info(name)).state.last_seq
        while count:
            event = decode_event((await js.get_msg(name, sequence)).data)
            assert isinstance(event, Delta | Checkpoint), event
            count -= isinstance(event, Delta)
            await js.delete_msg(name, sequence)
            sequence -= 1


async def test_a_lone_worker_that_is_restarted_continues_its_stream(stack, client):
    await stack.worker(tokens_per_s=100)
    gateway = await stack.gateway(heartbeat_s=0.5)
    url, body = f"{gateway.url}/v1/chat/completions", chat(max_tokens=50)
    undisturbed = await stream(client, "POST", url, json=body)
    kill = Fault(stack, signal.SIGKILL)
    restarted = []

    async def restart_later():
        await kill.happened.wait()
        await asyncio.sleep(1.5)
        restarted.append(await stack.worker(tokens_per_s=100))

    later = asyncio.create_task(restart_later())
    answer = await stream(client, "POST", url, json=body, headers=VERBOSE, on_frame=kill)
    await later
    assert answer.text == undisturbed.text
    assert answer.ids == undisturbed.ids
    assert answer.comments, "the client saw heartbeats while nobody wrote"


async def test_a_request_that_kills_every_worker_is_given_up(stack, client):
    await stack.worker(tokens_per_s=1, first_token_s=30, max_attempts=2)
    gateway = await stack.gateway()
    url = f"{gateway.url}/v1/chat/completions"

    async def kill_whoever_starts():
        for _ in range(2):
            worker = next(p for p in reversed(stack.processes) if p.name.startswith("worker"))
            await asyncio.sleep(0.4)
            worker.kill()
            await stack.worker(tokens_per_s=1, first_token_s=30, max_attempts=2)

    killing = asyncio.create_task(kill_whoever_starts())
    answer = await stream(client, "POST", url, json=chat(max_tokens=5))
    await killing
    assert answer.error is not None
    assert answer.error["code"] == "worker_lost"
    assert answer.error["retryable"] is True
    assert answer.finish is None


async def test_a_lone_worker_told_to_stop_finishes_what_nobody_else_can_take(stack, client):
    worker = await stack.worker(tokens_per_s=50, drain_s=20)
    gateway = await stack.gateway()
    url, body = f"{gateway.url}/v1/chat/completions", chat(max_tokens=80)
    undisturbed = await stream(client, "POST", url, json=body)
    answer = await stream(client, "POST", url, json=body, headers=VERBOSE, on_frame=Fault(stack, signal.SIGTERM))
    assert answer.text == undisturbed.text
    assert [a["attempt"] for a in answer.attempts] == [1]
    assert worker.popen.wait(10) == 0


async def test_at_the_drain_deadline_a_stream_goes_back_to_the_queue_and_on_with_the_next_worker(stack, client):
    worker = await stack.worker(tokens_per_s=50, drain_s=0.5)
    gateway = await stack.gateway()
    url, body = f"{gateway.url}/v1/chat/completions", chat(max_tokens=150)
    undisturbed = await stream(client, "POST", url, json=body)
    leave = Fault(stack, signal.SIGTERM)

    async def replace():
        await leave.happened.wait()
        assert await asyncio.to_thread(worker.popen.wait, 10) == 0
        await stack.worker(tokens_per_s=200)

    replacing = asyncio.create_task(replace())
    answer = await stream(client, "POST", url, json=body, headers=VERBOSE, on_frame=leave)
    await replacing
    assert answer.text == undisturbed.text
    assert [a["attempt"] for a in answer.attempts] == [1, 2]


async def test_half_of_twelve_workers_die_at_once_under_forty_streams_and_no_stream_breaks(tmp_path, client):
    async with running_stack(tmp_path, {"replicas": 12}) as stack:
        workers = [await stack.worker(tokens_per_s=20, capacity=8, wait=False) for _ in range(12)]
        gateways = [await stack.gateway(), await stack.gateway()]
        for worker in workers:
            await stack.until_ready(worker)
        bodies = [chat(max_tokens=80, user=str(number)) for number in range(40)]
        streaming = [
            asyncio.create_task(stream(client, "POST", f"{gateways[i % 2].url}/v1/chat/completions", json=body))
            for i, body in enumerate(bodies)
        ]
        await asyncio.sleep(1.5)
        for worker in workers[:6]:
            worker.signal(signal.SIGKILL)
        answers = await asyncio.gather(*streaming)
        again = [await stream(client, "POST", f"{gateways[0].url}/v1/chat/completions", json=b) for b in bodies[:3]]
        assert all(answer.ids == list(range(1, 82)) and answer.finish == "length" for answer in answers)
        assert [a.text for a in again] == [a.text for a in answers[:3]]


async def test_a_worker_takes_no_more_than_it_can_run(stack, client):
    await stack.worker(tokens_per_s=40, capacity=2)
    gateway = await stack.gateway()
    url = f"{gateway.url}/v1/chat/completions"
    active = []

    async def watch():
        async with stack.broker.connect("operator") as nc:
            reports = await nc.subscribe(subjects.ALL_WORKER_REPORTS)
            while True:
                active.append(decode_worker_report((await reports.next_msg(timeout=10)).data).active)

    watching = asyncio.create_task(watch())
    answers = await asyncio.gather(*(stream(client, "POST", url, json=chat(max_tokens=40)) for _ in range(6)))
    watching.cancel()
    assert all(answer.finish == "length" for answer in answers)
    assert max(active) == 2


async def test_a_worker_too_slow_for_the_first_token_loses_the_request_to_another(stack, client):
    await stack.worker(first_token_s=60, timeouts={"first_token_s": 0.4}, max_attempts=50)
    gateway = await stack.gateway()
    url = f"{gateway.url}/v1/chat/completions"

    async def help_later():
        await asyncio.sleep(0.6)
        await stack.worker(tokens_per_s=200, max_attempts=50)

    helping = asyncio.create_task(help_later())
    answer = await stream(client, "POST", url, json=chat(max_tokens=10), headers=VERBOSE)
    await helping
    assert answer.finish == "length"
    assert len(answer.attempts) >= 2


async def test_at_the_total_timeout_a_stream_ends_gracefully_and_a_single_answer_is_an_error(stack, client):
    await stack.worker(tokens_per_s=20, timeouts={"total_s": 1.5})
    gateway = await stack.gateway()
    url = f"{gateway.url}/v1/chat/completions"
    body = chat(max_tokens=1000)
    answer, whole = await asyncio.gather(
        stream(client, "POST", url, json=body), client.post(url, json={**body, "stream": False})
    )
    assert answer.error is None
    assert (answer.finish, answer.done) == ("length", True)
    assert 5 < len(answer.ids) < 200
    assert (whole.status_code, whole.json()["error"]["code"]) == (504, "total_timeout")
