"""The same Idempotency-Key means the same stream, wherever and however often it is sent."""

import asyncio

from stack import chat, running_stack, stream

KEY = {"Idempotency-Key": "order-1"}


async def test_repeating_the_post_attaches_on_any_gateway(stack, client):
    await stack.worker(tokens_per_s=50)
    first, second = await stack.gateway(), await stack.gateway()
    path, body = "/v1/chat/completions", chat(max_tokens=40)
    begun = await stream(client, "POST", first.url + path, json=body, headers=KEY, stop_after=5)
    again = [await stream(client, "POST", gateway.url + path, json=body, headers=KEY) for gateway in (second, first)]
    assert {answer.stream_id for answer in again} == {begun.stream_id}
    assert [answer.ids for answer in again] == [list(range(1, 42))] * 2


async def test_ten_at_once_generate_once(stack, client):
    await stack.worker(tokens_per_s=200)
    gateways = [await stack.gateway(), await stack.gateway()]
    body = chat(max_tokens=30)
    posts = [
        stream(client, "POST", f"{gateways[i % 2].url}/v1/chat/completions", json=body, headers=KEY) for i in range(10)
    ]
    answers = await asyncio.gather(*posts)
    assert len({answer.stream_id for answer in answers}) == 1
    assert len({answer.text for answer in answers}) == 1
    assert all(answer.done and answer.finish == "length" for answer in answers)


async def test_another_body_under_the_same_key_is_refused(stack, client):
    await stack.worker(tokens_per_s=500)
    gateway = await stack.gateway()
    url = f"{gateway.url}/v1/chat/completions"
    await stream(client, "POST", url, json=chat(max_tokens=3), headers=KEY)
    other = await client.post(url, json=chat(max_tokens=4), headers=KEY)
    assert other.status_code == 422
    assert other.json()["error"]["code"] == "idempotency_mismatch"


async def test_two_api_keys_do_not_share_an_idempotency_key(stack, client):
    await stack.worker(tokens_per_s=500)
    gateway = await stack.gateway()
    url, body = f"{gateway.url}/v1/chat/completions", chat(max_tokens=3)
    answers = [
        await stream(client, "POST", url, json=body, headers={**KEY, "Authorization": f"Bearer {who}"})
        for who in ("alice", "bob")
    ]
    assert answers[0].stream_id != answers[1].stream_id


async def test_one_answer_is_repeated_too(stack, client):
    await stack.worker(tokens_per_s=50)
    first, second = await stack.gateway(), await stack.gateway()
    body = {**chat(max_tokens=20), "stream": False}
    posts = [client.post(f"{g.url}/v1/chat/completions", json=body, headers=KEY) for g in (first, second, first)]
    answers = await asyncio.gather(*posts)
    late = await client.post(f"{second.url}/v1/chat/completions", json=body, headers=KEY)
    assert {answer.status_code for answer in [*answers, late]} == {200}
    assert len({answer.json()["id"] for answer in [*answers, late]}) == 1


async def test_a_refused_request_leaves_its_key_free(tmp_path, client):
    spec = {"queue": {"maxWaiting": 1}, "replicas": 1, "engine": {"simulated": {"maxStreams": 1}}}
    async with running_stack(tmp_path, spec) as stack:
        gateway = await stack.gateway()
        url, body = f"{gateway.url}/v1/chat/completions", chat(max_tokens=3)
        waiting = [asyncio.create_task(stream(client, "POST", url, json=body)) for _ in range(2)]
        await asyncio.sleep(0.5)
        refused = await client.post(url, json=body, headers=KEY)
        assert refused.status_code == 429
        await stack.worker(capacity=1, tokens_per_s=500)
        await asyncio.gather(*waiting)
        served = await stream(client, "POST", url, json=body, headers=KEY)
        assert served.finish == "length"
