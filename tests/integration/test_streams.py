"""The main path: a POST becomes a stream, whole, in order, with ids; and is there again for who comes later."""

from stack import chat, stream


async def test_a_chat_stream_arrives_whole_and_in_order_with_dense_ids(stack, client):
    await stack.worker(tokens_per_s=200)
    gateway = await stack.gateway()
    answer = await stream(client, "POST", f"{gateway.url}/v1/chat/completions", json=chat(max_tokens=20))
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.ids == list(range(1, 22))
    assert answer.chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert answer.finish == "length"
    assert answer.done
    assert len(answer.text.split(" ")) == 20
    assert len({chunk["id"] for chunk in answer.chunks}) == 1
