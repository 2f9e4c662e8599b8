"""The operator empties a worker, or changes its mind: nobody's stream is cut, and nothing is lost if it dies."""

import asyncio
import contextlib

import pytest
from stack import chat, stream
from tailrace_broker.worker_reports import WorkerReports
from tailrace_protocol import subjects
from tailrace_protocol.control import Retire
from tailrace_protocol.subjects import ModelKey
from tailrace_protocol.wire import encode

MODEL = ModelKey("default", "sim")
VERBOSE = {"Tailrace-Events": "all"}


class Operator:
    """As much of it as a worker hears: words, and an ear for reports."""

    def __init__(self, client):
        self.client = client
        self.reports = WorkerReports()

    async def ask(self, worker, lease_s):
        await self.client.publish(subjects.worker_control(MODEL, worker.worker_name), encode(Retire(lease_s=lease_s)))

    def report_of(self, worker):
        now = asyncio.get_running_loop().time()
        return next((r for r in self.reports.live(now) if r.worker == worker.worker_name), None)

    async def until(self, worker, state, active=None, within_s=10.0):
        async with asyncio.timeout(within_s):
            while True:
                report = self.report_of(worker)
                if report and report.state == state and active in (None, report.active):
                    return report
                await asyncio.sleep(0.05)


@pytest.fixture
async def operator(stack):
    async with stack.broker.connect("operator") as client:
        made = Operator(client)
        await client.subscribe(subjects.worker_report(MODEL, "*"), cb=made.reports.on_message)
        yield made


async def begin(client, gateway, count, tokens):
    url, body = f"{gateway.url}/v1/chat/completions", chat(max_tokens=tokens)
    begun = [asyncio.create_task(stream(client, "POST", url, json=body, headers=VERBOSE)) for _ in range(count)]
    await asyncio.sleep(1.0)
    return begun


def undisturbed(answers, tokens):
    return all((a.error, a.finish, a.done, len(a.ids)) == (None, "length", True, tokens + 1) for a in answers)


async def test_a_worker_that_retires_hands_its_streams_over_and_takes_none(stack, client, operator):
    first, second = await stack.worker(capacity=16), await stack.worker(capacity=16)
    gateway = await stack.gateway()
    begun = await begin(client, gateway, 8, 300)
    carried = (await operator.until(first, "ready")).active
    assert 0 < carried < 8, "both have some"
    await operator.ask(first, 30.0)
    await operator.until(first, "draining", active=0)
    assert (await operator.until(second, "ready", active=8)).oldest_s > 0.5
    late = await begin(client, gateway, 4, 50)
    assert operator.report_of(first).active == 0
    answers = await asyncio.gather(*begun, *late)
    assert undisturbed(answers[:8], 300)
    assert undisturbed(answers[8:], 50)
    assert sum(len(answer.attempts) == 2 for answer in answers) == carried
    assert first.popen.poll() is None, "it waits for another word"


async def test_it_comes_back_at_a_word_and_when_the_operator_falls_silent(stack, client, operator):
    worker = await stack.worker()
    gateway = await stack.gateway()
    for lease_s, word in ((30.0, 0.0), (1.0, None)):
        await operator.ask(worker, lease_s)
        await operator.until(worker, "draining")
        waiting = await begin(client, gateway, 1, 20)
        if word is not None:
            await operator.ask(worker, word)
        async with asyncio.timeout(5):
            assert undisturbed(await asyncio.gather(*waiting), 20)
        await operator.until(worker, "ready")


async def test_without_room_elsewhere_it_finishes_what_it_has(stack, client, operator):
    worker = await stack.worker()
    gateway = await stack.gateway()
    begun = await begin(client, gateway, 4, 150)
    await operator.ask(worker, 30.0)
    answers = await asyncio.gather(*begun)
    assert undisturbed(answers, 150)
    assert all(len(answer.attempts) == 1 for answer in answers)
    await operator.until(worker, "draining", active=0)


async def test_a_stream_about_to_end_is_not_moved(stack, client, operator):
    first, second = await stack.worker(), await stack.worker()
    gateway = await stack.gateway()
    begun = await begin(client, gateway, 6, 120)
    assert (await operator.until(first, "ready")).active in range(1, 6)
    await operator.ask(first, 10.0)
    answers = await asyncio.gather(*begun)
    assert undisturbed(answers, 120)
    assert second.popen.poll() is None
    assert all(len(answer.attempts) == 1 for answer in answers), "at 50 tokens a second they had 1.4 s left"


async def test_told_to_stop_while_it_retires_it_stops_as_ever(stack, client, operator):
    first, second = await stack.worker(capacity=16), await stack.worker(capacity=16)
    gateway = await stack.gateway()
    begun = await begin(client, gateway, 6, 200)
    await operator.ask(first, 30.0)
    first.tell_to_stop()
    answers = await asyncio.gather(*begun)
    assert undisturbed(answers, 200)
    assert await asyncio.to_thread(first.popen.wait, 10) == 0
    assert second.popen.poll() is None


async def test_a_word_that_nobody_understands_changes_nothing(stack, client, operator):
    worker = await stack.worker()
    gateway = await stack.gateway()
    subject = subjects.worker_control(MODEL, worker.worker_name)
    for word in (b"", b"no json", b'{"t":"retire"}', b'{"t":"retire","lease_s":"long"}', b'{"t":"of_tomorrow"}'):
        await operator.client.publish(subject, word)
    with contextlib.suppress(TimeoutError):
        await operator.until(worker, "draining", within_s=1.0)
        raise AssertionError("it retired")
    assert undisturbed(await asyncio.gather(*await begin(client, gateway, 1, 20)), 20)
