"""Answers without streaming, large ones, and the small routes around them."""

import asyncio

from stack import chat, running_stack, stream


async def test_one_answer_equals_the_stream(stack, client):
    await stack.worker(tokens_per_s=500)
    gateway = await stack.gateway()
    url = f"{gateway.url}/v1/chat/completions"
    fields = {"messages": [{"role": "user", "content": "x"}], "max_tokens": 12}
    whole = await client.post(url, json={"model": "sim", **fields})
    assert whole.status_code == 200
    body = whole.json()
    assert body["object"] == "chat.completion"
    assert body["usage"]["completion_tokens"] == 12
    assert len(body["choices"][0]["message"]["content"].split()) == 12
    assert whole.headers["tailrace-stream-id"].startswith("default.sim.")


async def test_several_choices_share_one_stream_with_dense_ids(stack, client):
    await stack.worker(tokens_per_s=500)
    gateway = await stack.gateway()
    answer = await stream(client, "POST", f"{gateway.url}/v1/chat/completions", json=chat(max_tokens=5, n=3))
    assert answer.ids == list(range(1, 3 + 15 + 1))
    assert {c["index"] for chunk in answer.chunks for c in chunk["choices"]} == {0, 1, 2}


async def test_legacy_completions_stream_text(stack, client):
    await stack.worker(tokens_per_s=500)
    gateway = await stack.gateway()
    body = {"model": "sim", "prompt": "hello", "max_tokens": 5, "stream": True}
    answer = await stream(client, "POST", f"{gateway.url}/v1/completions", json=body)
    assert answer.ids == list(range(1, 7))
    assert {chunk["object"] for chunk in answer.chunks} == {"text_completion"}
    assert answer.finish == "length"


async def test_requests_far_above_the_brokers_payload_limit_work_up_to_eight_mebibytes(stack, client):
    await stack.worker(tokens_per_s=500)
    gateway = await stack.gateway()
    url = f"{gateway.url}/v1/chat/completions"
    envelope = len(str(chat(max_tokens=3)))
    for size in (900_000, 1_048_576, 3_000_000, 8 * 1024 * 1024 - envelope - 100):
        body = chat(max_tokens=3)
        body["messages"][0]["content"] = "x" * size
        answer = await stream(client, "POST", url, json=body)
        assert (answer.status, answer.finish) == (200, "length"), f"{size} bytes: {answer.body[:200]!r}"


async def test_a_body_above_the_limit_is_refused_with_the_limit(stack, client):
    await stack.worker(tokens_per_s=500)
    gateway = await stack.gateway()
    body = chat(max_tokens=3)
    body["messages"][0]["content"] = "x" * (8 * 1024 * 1024)

    async def unannounced():
        yield b'{"model":"sim","messages":[{"role":"user","content":"'
        for _ in range(9):
            yield b"x" * 1024 * 1024
        yield b'"}]}'

    for content in ({"json": body}, {"content": unannounced()}):
        refused = await client.post(f"{gateway.url}/v1/chat/completions", **content)
        assert refused.status_code == 413
        assert refused.json()["error"]["code"] == "body_too_large"
        assert "8388608" in refused.json()["error"]["message"]


async def test_an_answer_above_the_brokers_payload_limit_arrives_whole(stack, client):
    await stack.worker(tokens_per_s=1_000_000)
    gateway = await stack.gateway()
    body = {**chat(max_tokens=2_000, n=100), "stream": False}
    answer = await client.post(f"{gateway.url}/v1/chat/completions", json=body)
    assert answer.status_code == 200
    assert len(answer.content) > 1_100_000
    assert [len(choice["message"]["content"].split()) for choice in answer.json()["choices"]] == [2_000] * 100
    stream_id = answer.headers["tailrace-stream-id"]
    again = await stream(client, "GET", f"{gateway.url}/v1/streams/{stream_id}")
    assert again.chunks[-1] == answer.json()


async def test_models_are_listed_as_soon_as_they_are_applied(stack, client):
    gateway = await stack.gateway()
    listed = (await client.get(f"{gateway.url}/v1/models")).json()
    assert [model["id"] for model in listed["data"]] == ["sim"]
    assert (await client.get(f"{gateway.url}/v1/models/sim")).json()["object"] == "model"
    missing = await client.get(f"{gateway.url}/v1/models/other")
    assert missing.status_code == 404
    assert "sim" in missing.json()["error"]["message"]


async def test_health_readiness_and_metrics(stack, client):
    await stack.worker(tokens_per_s=500)
    gateway = await stack.gateway()
    await stream(client, "POST", f"{gateway.url}/v1/chat/completions", json=chat(max_tokens=3))
    assert (await client.get(f"{gateway.url}/livez")).status_code == 200
    assert (await client.get(f"{gateway.url}/readyz")).status_code == 200
    metrics = (await client.get(f"{gateway.url}/metrics")).text
    assert 'tailrace_gateway_streams_accepted_total{kind="chat",model="sim"} 1.0' in metrics
    assert 'tailrace_gateway_streams_ended_total{model="sim",outcome="finished"} 1.0' in metrics
    assert 'tailrace_gateway_first_worker_event_seconds_count{model="sim"} 1.0' in metrics
    await stack.broker.stop()
    for _ in range(100):
        if (await client.get(f"{gateway.url}/readyz")).status_code == 503:
            break
        await asyncio.sleep(0.1)
    ready = await client.get(f"{gateway.url}/readyz")
    assert (ready.status_code, ready.text) == (503, "not connected to NATS\n")
    assert (await client.get(f"{gateway.url}/livez")).status_code == 200


async def test_a_long_wait_for_a_worker_is_measured_and_single_answers_are_counted(stack, client):
    gateway = await stack.gateway()
    url = f"{gateway.url}/v1/chat/completions"
    asking = asyncio.create_task(client.post(url, json={**chat(max_tokens=3), "stream": False}))
    streaming = asyncio.create_task(stream(client, "POST", url, json=chat(max_tokens=3)))
    await asyncio.sleep(1.5)
    await stack.worker(tokens_per_s=500)
    assert (await asking).status_code == 200
    assert (await streaming).finish == "length"
    metrics = (await client.get(f"{gateway.url}/metrics")).text
    assert 'tailrace_gateway_first_worker_event_seconds_bucket{le="1.0",model="sim"} 0.0' in metrics
    assert 'tailrace_gateway_first_worker_event_seconds_count{model="sim"} 2.0' in metrics
    assert 'tailrace_gateway_streams_ended_total{model="sim",outcome="finished"} 2.0' in metrics


async def test_a_full_queue_refuses_at_once_and_serves_again_when_there_is_room(tmp_path, client):
    spec = {"queue": {"maxWaiting": 2}, "replicas": 1, "engine": {"simulated": {"maxStreams": 1}}}
    async with running_stack(tmp_path, spec) as stack:
        await stack.worker(capacity=1, tokens_per_s=20)
        gateway = await stack.gateway()
        url = f"{gateway.url}/v1/chat/completions"
        running = [asyncio.create_task(stream(client, "POST", url, json=chat(max_tokens=20))) for _ in range(3)]
        await asyncio.sleep(0.6)
        for streaming in (True, False):
            refused = await client.post(url, json={**chat(max_tokens=5), "stream": streaming})
            assert refused.status_code == 429
            assert int(refused.headers["retry-after"]) >= 1
            assert refused.json()["error"]["code"] == "queue_full"
        answers = await asyncio.gather(*running)
        assert all(answer.finish == "length" for answer in answers)
        assert (await stream(client, "POST", url, json=chat(max_tokens=5))).finish == "length"


async def test_a_request_that_no_worker_takes_in_time_is_refused_in_band(tmp_path, client):
    spec = {"timeouts": {"queue": "1s"}}
    async with running_stack(tmp_path, spec) as stack:
        gateway = await stack.gateway()
        url = f"{gateway.url}/v1/chat/completions"
        streaming, whole = await asyncio.gather(
            stream(client, "POST", url, json=chat()), client.post(url, json={**chat(), "stream": False})
        )
        assert streaming.chunks[0]["choices"][0]["delta"]["role"] == "assistant"
        assert streaming.error["code"] == "queue_timeout"
        assert streaming.error["retryable"] is True
        assert streaming.finish is None
        assert (whole.status_code, whole.json()["error"]["code"]) == (503, "queue_timeout")
        await stack.worker()
        await asyncio.sleep(0.5)
        late = await stream(client, "GET", f"{gateway.url}/v1/streams/{streaming.stream_id}")
        assert late.error["code"] == "queue_timeout"
