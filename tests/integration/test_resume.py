"""A stream is a log: whoever comes back, late or elsewhere, reads the rest, exactly once."""

import asyncio

import pytest
from stack import chat, running_stack, stream


async def _cut_short(client, gateway, body, after):
    return await stream(client, "POST", f"{gateway.url}/v1/chat/completions", json=body, stop_after=after)


@pytest.mark.parametrize("by", ["header", "query"])
@pytest.mark.parametrize("elsewhere", [False, True])
async def test_a_cut_stream_resumes_where_it_stopped_on_any_gateway(stack, client, by, elsewhere):
    await stack.worker(tokens_per_s=60)
    first = await stack.gateway()
    second = await stack.gateway() if elsewhere else first
    body = chat(max_tokens=60)
    undisturbed = await stream(client, "POST", f"{first.url}/v1/chat/completions", json=body)
    begun = await _cut_short(client, first, body, after=10)
    where = {"headers": {"Last-Event-ID": str(begun.ids[-1])}} if by == "header" else {}
    query = "" if by == "header" else f"?starting_after={begun.ids[-1]}"
    rest = await stream(client, "GET", f"{second.url}/v1/streams/{begun.stream_id}{query}", **where)
    assert begun.ids + rest.ids == undisturbed.ids
    assert begun.text + rest.text == undisturbed.text
    assert rest.done


async def test_a_finished_stream_replays_and_then_has_no_more(stack, client):
    await stack.worker(tokens_per_s=500)
    gateway = await stack.gateway()
    whole = await stream(client, "POST", f"{gateway.url}/v1/chat/completions", json=chat(max_tokens=30))
    url = f"{gateway.url}/v1/streams/{whole.stream_id}"
    for after in (0, 1, 15, 30):
        again = await stream(client, "GET", f"{url}?starting_after={after}")
        assert again.ids == whole.ids[after:]
        assert again.done
    end = await client.get(f"{url}?starting_after={whole.ids[-1]}")
    assert (end.status_code, end.content) == (204, b"")


async def test_a_second_screen_sees_the_same_stream_while_it_grows(stack, client):
    await stack.worker(tokens_per_s=50)
    first, second = await stack.gateway(), await stack.gateway()
    seen = asyncio.Event()
    ids = []

    def note(frames):
        ids.append(frames)
        seen.set()

    async def watch(gateway):
        await seen.wait()
        return await stream(client, "GET", f"{gateway.url}/v1/streams/{stream_id[0]}")

    stream_id = []
    async with client.stream("POST", f"{first.url}/v1/chat/completions", json=chat(max_tokens=60)) as response:
        stream_id.append(response.headers["tailrace-stream-id"])
        seen.set()
        screens = [asyncio.create_task(watch(gateway)) for gateway in (first, second, second)]
        await response.aread()
    answers = await asyncio.gather(*screens)
    assert len({answer.text for answer in answers}) == 1
    assert all(answer.ids == list(range(1, 62)) and answer.done for answer in answers)


async def test_a_thousand_resumes_of_one_stream_give_every_event_exactly_once(stack, client):
    await stack.worker(tokens_per_s=100)
    gateways = [await stack.gateway(), await stack.gateway()]
    url = f"{gateways[0].url}/v1/chat/completions"
    headers = {"Tailrace-On-Disconnect": "continue"}
    part = await stream(client, "POST", url, json=chat(max_tokens=150), headers=headers, stop_after=3)
    ids, text, turn = list(part.ids), part.text, 0
    while not part.done:
        turn += 1
        address = f"{gateways[turn % 2].url}/v1/streams/{part.stream_id}?starting_after={ids[-1]}"
        part = await stream(client, "GET", address, stop_after=1 + turn % 7)
        if part.status == 204:
            break
        ids, text = ids + part.ids, text + part.text
    assert ids == list(range(1, 152))
    whole = await stream(client, "GET", f"{gateways[1].url}/v1/streams/{part.stream_id}")
    assert text == whole.text


async def test_unknown_and_malformed_stream_ids_are_not_found(stack, client):
    gateway = await stack.gateway()
    known = "default.sim.abcd1234." + "a" * 26
    for stream_id in ("nonsense", "default.sim.*.>", "default.sim.abcd1234.short", known + "bvqgio7"[:7].upper()):
        answer = await client.get(f"{gateway.url}/v1/streams/{stream_id}")
        assert answer.status_code == 404
        assert answer.json()["error"]["code"] == "stream_not_found"


@pytest.mark.parametrize("bad", ["-1", "1.5", "abc", "\uff11", "9" * 30])
async def test_a_position_that_is_no_whole_number_is_refused_by_name(stack, client, bad):
    await stack.worker(tokens_per_s=500)
    gateway = await stack.gateway()
    whole = await stream(client, "POST", f"{gateway.url}/v1/chat/completions", json=chat(max_tokens=2))
    answer = await client.get(f"{gateway.url}/v1/streams/{whole.stream_id}", params={"starting_after": bad})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "starting_after"


async def test_a_stream_is_gone_when_its_replay_window_is_over(tmp_path, client):
    spec = {"replay": {"window": "1s"}, "timeouts": {"firstToken": "1s", "betweenTokens": "1s", "total": "2s"}}
    async with running_stack(tmp_path, spec) as stack:
        await stack.worker(tokens_per_s=500)
        gateway = await stack.gateway()
        whole = await stream(client, "POST", f"{gateway.url}/v1/chat/completions", json=chat(max_tokens=5))
        url = f"{gateway.url}/v1/streams/{whole.stream_id}"
        assert (await client.get(url)).status_code == 200
        await asyncio.sleep(1.5)
        within_the_broker = await client.get(url)
        await asyncio.sleep(3)
        after_the_broker = await client.get(url)
        for answer in (within_the_broker, after_the_broker):
            assert answer.status_code == 410
            assert answer.json()["error"]["code"] == "replay_expired"
            assert "replay window" in answer.json()["error"]["message"]
