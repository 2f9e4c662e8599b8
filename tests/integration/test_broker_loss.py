"""The broker may restart under open streams: nothing is lost, nothing is said twice."""

import asyncio
import os
import signal

from stack import chat, running_stack, stream
from tailrace_protocol import subjects
from tailrace_protocol.reports import decode_worker_report
from tailrace_protocol.subjects import ModelKey


async def test_a_stream_survives_a_restart_of_a_broker_that_keeps_its_log_on_disk(tmp_path, client):
    async with running_stack(tmp_path, {"replay": {"storage": "file"}}) as stack:
        await stack.worker(tokens_per_s=50)
        gateway = await stack.gateway()
        url = f"{gateway.url}/v1/chat/completions"
        undisturbed = await stream(client, "POST", url, json=chat(max_tokens=200))
        seen = asyncio.Event()

        async def restart():
            await seen.wait()
            await stack.broker.restart()

        restarting = asyncio.create_task(restart())
        answer = await stream(
            client, "POST", url, json=chat(max_tokens=200), on_frame=lambda f: len(f) > 40 and seen.set()
        )
        await restarting
        assert answer.error is None
        assert answer.ids == undisturbed.ids
        assert answer.text == undisturbed.text
        again = await stream(client, "GET", f"{gateway.url}/v1/streams/{answer.stream_id}")
        assert again.text == undisturbed.text


async def test_a_broker_that_stands_still_for_a_while_only_delays(tmp_path, client):
    async with running_stack(tmp_path, {"replay": {"storage": "file"}}) as stack:
        for _ in range(2):
            await stack.worker(tokens_per_s=50)
        gateway = await stack.gateway()
        url = f"{gateway.url}/v1/chat/completions"
        undisturbed = await stream(client, "POST", url, json=chat(max_tokens=150))
        seen = asyncio.Event()

        async def pause():
            await seen.wait()
            os.kill(stack.broker.child.pid, signal.SIGSTOP)
            await asyncio.sleep(2)
            os.kill(stack.broker.child.pid, signal.SIGCONT)

        pausing = asyncio.create_task(pause())
        answer = await stream(
            client, "POST", url, json=chat(max_tokens=150), on_frame=lambda f: len(f) > 40 and seen.set()
        )
        await pausing
        assert answer.error is None
        assert answer.text == undisturbed.text
        assert answer.ids == undisturbed.ids


async def test_a_log_that_was_lost_with_its_broker_is_an_error_and_never_skipped_text(tmp_path, client):
    async with running_stack(tmp_path, {"replay": {"storage": "memory"}}) as stack:
        await stack.worker(tokens_per_s=50)
        gateway = await stack.gateway(heartbeat_s=0.5)
        url = f"{gateway.url}/v1/chat/completions"
        undisturbed = await stream(client, "POST", url, json=chat(max_tokens=100))
        seen = asyncio.Event()

        async def crash():
            await seen.wait()
            await stack.broker.child.kill()
            await stack.broker.restart()
            await stack.apply({"replay": {"storage": "memory"}})

        crashing = asyncio.create_task(crash())
        answer = await stream(
            client, "POST", url, json=chat(max_tokens=100), on_frame=lambda f: len(f) > 40 and seen.set()
        )
        await crashing
        assert undisturbed.text.startswith(answer.text)
        whole = answer.text == undisturbed.text and answer.finish == "length"
        assert whole or (answer.error is not None and answer.error["retryable"])


async def test_requests_without_a_broker_are_refused_as_retryable_and_work_when_it_is_back(tmp_path, client):
    async with running_stack(tmp_path, {"replay": {"storage": "file"}}) as stack:
        await stack.worker(tokens_per_s=500)
        gateway = await stack.gateway()
        url = f"{gateway.url}/v1/chat/completions"
        await stack.broker.stop()
        refused = await client.post(url, json=chat(max_tokens=3))
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "broker_unavailable")
        assert refused.json()["error"]["retryable"] is True
        whole = await client.post(url, json={**chat(max_tokens=100_000), "stream": False})
        assert (whole.status_code, whole.json()["error"]["code"]) == (503, "broker_unavailable")
        await stack.broker.restart()
        await asyncio.sleep(1.5)
        metrics = (await client.get(f"{gateway.url}/metrics")).text
        assert "tailrace_gateway_streams_accepted_total{" not in metrics, "what was refused is generated for nobody"
        for _ in range(50):
            answer = await stream(client, "POST", url, json=chat(max_tokens=3))
            if answer.status == 200:
                break
            await asyncio.sleep(0.2)
        assert answer.finish == "length"


async def test_an_answer_without_streaming_survives_a_restart_of_the_broker(tmp_path, client):
    async with running_stack(tmp_path, {"replay": {"storage": "file"}}) as stack:
        await stack.worker(tokens_per_s=50)
        gateway = await stack.gateway()
        body = {**chat(max_tokens=120), "stream": False}
        post = asyncio.create_task(client.post(f"{gateway.url}/v1/chat/completions", json=body))
        await asyncio.sleep(1)
        await stack.broker.restart()
        answer = await post
        assert answer.status_code == 200, answer.text
        assert answer.json()["usage"]["completion_tokens"] == 120


async def test_after_a_reconnect_a_worker_still_takes_no_more_than_it_can_run(tmp_path, client):
    async with running_stack(tmp_path, {"replay": {"storage": "file"}}) as stack:
        await stack.worker(tokens_per_s=40, capacity=2)
        gateway = await stack.gateway()
        url = f"{gateway.url}/v1/chat/completions"
        for _ in range(2):
            await stack.broker.restart()
            await asyncio.sleep(1.5)
        posts = [asyncio.create_task(stream(client, "POST", url, json=chat(max_tokens=40))) for _ in range(8)]
        await asyncio.sleep(0.6)
        async with stack.broker.connect("operator") as nc:
            reports = await nc.subscribe(subjects.ALL_WORKER_REPORTS)
            active = [decode_worker_report((await reports.next_msg(timeout=5)).data).active for _ in range(4)]
        answers = await asyncio.gather(*posts)
        assert max(active) == 2
        assert all(answer.finish == "length" for answer in answers)


async def test_streams_that_queued_while_the_broker_was_away_outlive_their_queue_timeout(tmp_path, client):
    """The gateway may have missed that a worker began: the log knows, and nothing is cancelled mid-sentence."""
    async with running_stack(tmp_path, {"replay": {"storage": "file"}, "timeouts": {"queue": "3s"}}) as stack:
        await stack.worker(tokens_per_s=20)
        gateway = await stack.gateway()
        url = f"{gateway.url}/v1/chat/completions"
        gateway_asleep = asyncio.create_task(stream(client, "POST", url, json=chat(max_tokens=120)))
        await asyncio.sleep(0.05)
        await stack.broker.restart()
        answer = await gateway_asleep
        assert answer.error is None
        assert answer.ids == list(range(1, 122))


async def test_a_log_that_is_away_while_the_queue_is_not_only_delays_and_gets_its_beginning_back(tmp_path, client):
    """As when a log's leader died: whoever writes is told at once that nobody is there."""
    spec = {"replay": {"storage": "memory"}}
    async with running_stack(tmp_path, spec) as stack:
        gateway = await stack.gateway()
        url = f"{gateway.url}/v1/chat/completions"
        asking = asyncio.create_task(stream(client, "POST", url, json=chat(max_tokens=40)))
        # Longer than the time within which a worker takes a request for one that nobody else has begun.
        await asyncio.sleep(2.5)
        async with stack.broker.connect("operator") as nc:
            await nc.jetstream().delete_stream(subjects.log_stream(ModelKey("default", "sim")))
        worker = await stack.worker(tokens_per_s=200)
        await asyncio.sleep(5)
        assert worker.said("generation.broker_lost")
        assert not asking.done()
        await stack.apply(spec)
        answer = await asking
        assert (answer.error, answer.finish) == (None, "length")
        assert answer.ids == list(range(1, 42))
        again = await stream(client, "GET", f"{gateway.url}/v1/streams/{answer.stream_id}")
        assert (again.text, again.ids) == (answer.text, answer.ids)
        assert len(answer.attempts) <= 1
