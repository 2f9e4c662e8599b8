"""The broker may restart under open streams: nothing is lost, nothing is said twice."""

import asyncio
import os
import signal

from stack import chat, running_stack, stream


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
        await stack.broker.restart()
        for _ in range(50):
            answer = await stream(client, "POST", url, json=chat(max_tokens=3))
            if answer.status == 200:
                break
            await asyncio.sleep(0.2)
        assert answer.finish == "length"
