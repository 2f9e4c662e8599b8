"""Each kind of bad input gets one clear error, naming the field and the remedy, in OpenAI's shape."""

import pytest
from stack import chat

CHAT = "/v1/chat/completions"
MESSAGES = [{"role": "user", "content": "hi"}]


@pytest.mark.parametrize(
    ("body", "status", "code", "param", "says"),
    [
        (b"{", 400, "invalid_request", None, "not valid JSON"),
        (b"", 400, "invalid_request", None, "not valid JSON"),
        (b"\xff\xfe", 400, "invalid_request", None, "JSON"),
        (b"[" * 100_000, 400, "invalid_request", None, "body"),
        (b"[]", 400, "invalid_request", None, "JSON object"),
        ({"messages": MESSAGES}, 400, "invalid_request", "model", "missing"),
        ({"model": "", "messages": MESSAGES}, 400, "invalid_request", "model", "/v1/models"),
        ({"model": 7, "messages": MESSAGES}, 400, "invalid_request", "model", "str"),
        ({"model": "none", "messages": MESSAGES}, 404, "model_not_found", "model", "sim"),
        ({"model": "a.b.*", "messages": MESSAGES}, 404, "model_not_found", "model", "sim"),
        ({"model": "sim"}, 400, "invalid_request", "messages", "missing"),
        ({"model": "sim", "messages": []}, 400, "invalid_request", "messages", "empty"),
        ({"model": "sim", "messages": "hi"}, 400, "invalid_request", "messages", "array"),
        ({"model": "sim", "messages": MESSAGES, "stream": "yes"}, 400, "invalid_request", "stream", "bool"),
        ({"model": "sim", "messages": MESSAGES, "n": 0}, 400, "invalid_request", "n", "1 to 128"),
        ({"model": "sim", "messages": MESSAGES, "n": 129}, 400, "invalid_request", "n", "1 to 128"),
        ({"model": "sim", "messages": MESSAGES, "n": 10**30}, 400, "invalid_request", "n", "n"),
        ({"model": "sim", "messages": MESSAGES, "max_tokens": 0}, 400, "invalid_request", "max_tokens", "max_tokens"),
    ],
)
async def test_bad_bodies(one_stack, client, body, status, code, param, says):
    sent = {"content": body} if isinstance(body, bytes) else {"json": body}
    for streaming in (False, True):
        if isinstance(body, dict) and "stream" not in body and streaming:
            sent = {"json": {**body, "stream": True}}
        answer = await client.post(one_stack.url + CHAT, **sent)
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error["param"]) == (status, code, param), error
        assert says in error["message"], error
        assert error["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("header", "value"),
    [("Tailrace-On-Disconnect", "maybe"), ("Tailrace-Events", "some"), ("Idempotency-Key", "x" * 256)],
)
async def test_bad_headers_are_named(one_stack, client, header, value):
    answer = await client.post(one_stack.url + CHAT, json=chat(), headers={header: value})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == header


async def test_unknown_routes_and_methods_answer_in_the_same_shape(one_stack, client):
    for method, path, status in (("GET", "/v1/nothing", 404), ("GET", CHAT, 405), ("POST", "/v1/models", 405)):
        answer = await client.request(method, one_stack.url + path)
        assert answer.status_code == status
        assert path in answer.json()["error"]["message"]


async def test_fields_without_meaning_here_are_accepted(one_stack, client):
    body = {**chat(max_tokens=2), "stream": False, "user": "me", "store": True, "service_tier": "auto", "x": 1}
    assert (await client.post(one_stack.url + CHAT, json=body)).status_code == 200
