"""What gateways report, beside what the queue counts: only what needs an engine's slot is in the queue."""

import asyncio
import contextlib

from stack import chat, stream
from tailrace_operator.controller.counts import count_one
from tailrace_operator.controller.world import Key
from tailrace_protocol import subjects
from tailrace_protocol.reports import decode_gateway_report

MODEL = Key("StreamingModel", "default", "sim")


class Ear:
    """The newest report of each gateway."""

    def __init__(self):
        self.reports = {}

    async def on_message(self, message):
        report = decode_gateway_report(message.data)
        self.reports[report.gateway] = report

    async def until(self, holds, within_s=10.0):
        async with asyncio.timeout(within_s):
            while not holds(list(self.reports.values())):  # noqa: ASYNC110
                await asyncio.sleep(0.05)


async def read(client, url):
    async with client.stream("GET", url) as response:
        async for _ in response.aiter_lines():
            pass


async def test_idle_connections_waiting_requests_and_readers_of_a_log_are_told_apart(stack, client):
    """One stream runs, with two clients here and one at another gateway; one waits; one connection asks for nothing."""
    await stack.worker(tokens_per_s=20, capacity=1)
    gateway, other = await stack.gateway(), await stack.gateway()
    url, headers = f"{gateway.url}/v1/chat/completions", {"Tailrace-On-Disconnect": "continue"}
    async with stack.broker.connect("operator") as nc, contextlib.AsyncExitStack() as leave:
        ear = Ear()
        await nc.subscribe(subjects.ALL_GATEWAY_REPORTS, cb=ear.on_message)
        begun = await stream(client, "POST", url, json=chat(max_tokens=400), headers=headers, stop_after=3)
        places = [f"{place.url}/v1/streams/{begun.stream_id}" for place in (gateway, gateway, other)]
        tasks = [asyncio.create_task(read(client, place)) for place in places]
        tasks.append(asyncio.create_task(stream(client, "POST", url, json=chat(max_tokens=4))))
        _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        leave.callback(writer.close)

        def told(reports):
            own = next((report for report in reports if report.streams), None)
            far = next((report for report in reports if not report.streams and report.connections), None)
            return own and far and (own.connections, own.log_only, own.queued, far.connections, far.log_only)

        await ear.until(lambda reports: told(reports) == (3, 1, {"default.sim": 1}, 1, 1))
        await ear.until(lambda reports: any(report.idle == 1 for report in reports))
        counted = await count_one(nc, MODEL)
        assert (counted.active, counted.queued) == (1, 1), "who reads a log, and who asks for nothing, needs no worker"
        assert sum(report.streams.get("default.sim", 0) for report in ear.reports.values()) == 2
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_gateway_that_dies_stops_counting_within_its_lease_and_its_streams_stay_counted_once(stack, client):
    await stack.worker(tokens_per_s=20)
    gateway, other = await stack.gateway(), await stack.gateway()
    url, headers = f"{gateway.url}/v1/chat/completions", {"Tailrace-On-Disconnect": "continue"}
    async with stack.broker.connect("operator") as nc:
        ear = Ear()
        await nc.subscribe(subjects.ALL_GATEWAY_REPORTS, cb=ear.on_message)
        answer = await stream(client, "POST", url, json=chat(max_tokens=300), headers=headers, stop_after=3)
        gateway.kill()
        reading = asyncio.create_task(read(client, f"{other.url}/v1/streams/{answer.stream_id}"))
        await ear.until(lambda reports: any(r.log_only == 1 for r in reports))
        counted = await count_one(nc, MODEL)
        assert (counted.active, counted.queued) == (1, 0), "by the queue, though no living gateway has it for its own"
        living = [report for report in ear.reports.values() if report.log_only]
        assert [report.streams for report in living] == [{}]
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
