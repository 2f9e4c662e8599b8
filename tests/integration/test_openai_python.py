"""OpenAI's own Python client, sync and async, meets OpenAI's API and nothing else, whatever happens behind it."""

import asyncio
import re
import time
from contextlib import asynccontextmanager

import httpx
import httpx2
import openai
import pytest
import pytest_asyncio
from openai.types.chat import ChatCompletionChunk
from stack import running_stack, stream

pytestmark = pytest.mark.asyncio(loop_scope="module")

HELLO = [{"role": "user", "content": "hello"}]
KEY = "any: nobody checks it here"


class Tap(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """Keeps the bytes of a response that pass to the SDK, so that a test sees what the SDK had to survive."""

    def __init__(self, body, wire):
        self.body, self.wire = body, wire

    def __iter__(self):
        for data in self.body:
            self.wire.extend(data)
            yield data

    async def __aiter__(self):
        async for data in self.body:
            self.wire.extend(data)
            yield data

    def close(self):
        self.body.close()

    async def aclose(self):
        await self.body.aclose()


class Sdk:
    """What the tests do with a client, be it sync or async."""

    def __init__(self, client):
        self.client = client
        self.wire = bytearray()

    @property
    def heartbeats(self):
        return len(re.findall(rb"^:", self.wire, re.MULTILINE))

    def _tap(self, response):
        response.stream = Tap(response.stream, self.wire)


class SyncSdk(Sdk):
    def __init__(self, url, **options):
        web = openai.DefaultHttpxClient(event_hooks={"response": [self._tap]})
        super().__init__(openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, http_client=web, **options))

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        self.client.close()

    async def ask(self, call):
        return await asyncio.to_thread(call, self.client)

    async def read(self, call, into=None, at_most=None):
        """Iterate over the stream that `call` opens, until it ends by itself or is closed after `at_most` chunks."""
        chunks = [] if into is None else into

        def work():
            opened = call(self.client)
            for chunk in opened:
                chunks.append(chunk)
                if len(chunks) == at_most:
                    opened.close()
                    break
            return chunks

        return await asyncio.to_thread(work)

    async def help(self, **fields):
        """The events and the final completion of the SDK's higher-level helper, which raises a cut one."""

        def work():
            with self.client.chat.completions.stream(model="sim", messages=HELLO, **fields) as events:
                seen = list(events)
                try:
                    return seen, events.get_final_completion()
                except openai.LengthFinishReasonError as cut:
                    return seen, cut.completion

        return await asyncio.to_thread(work)


class AsyncSdk(Sdk):
    def __init__(self, url, **options):
        web = openai.DefaultAsyncHttpxClient(event_hooks={"response": [self._tap_later]})
        super().__init__(openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=KEY, http_client=web, **options))

    async def _tap_later(self, response):
        self._tap(response)

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await self.client.close()

    async def ask(self, call):
        return await call(self.client)

    async def read(self, call, into=None, at_most=None):
        chunks = [] if into is None else into
        opened = call(self.client)
        opened = await opened if asyncio.iscoroutine(opened) else opened
        async for chunk in opened:
            chunks.append(chunk)
            if len(chunks) == at_most:
                await opened.close()
                break
        return chunks

    async def help(self, **fields):
        async with self.client.chat.completions.stream(model="sim", messages=HELLO, **fields) as events:
            seen = [event async for event in events]
            try:
                return seen, await events.get_final_completion()
            except openai.LengthFinishReasonError as cut:
                return seen, cut.completion


@pytest.fixture(params=[SyncSdk, AsyncSdk], ids=["sync", "async"])
def sdk(request):
    return request.param


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def calm(tmp_path_factory):
    """One gateway and one worker, for all tests in which nothing goes wrong."""
    async with running_stack(tmp_path_factory.mktemp("calm"), {"disconnect": {"grace": "500ms"}}) as stack:
        await stack.worker(tokens_per_s=200)
        yield (await stack.gateway()).url


@pytest.fixture
def stormy(tmp_path):
    """A stack of the test's own."""
    return lambda spec=None: running_stack(tmp_path, spec)


@asynccontextmanager
async def plain_http():
    async with httpx.AsyncClient(timeout=30) as http:
        yield http


def chat(stream=True, **fields):
    """A call that may be made on either client."""
    return lambda client: client.chat.completions.create(model="sim", messages=HELLO, stream=stream, **fields)


def completion(stream=True, **fields):
    return lambda client: client.completions.create(model="sim", prompt="hello", stream=stream, **fields)


def raw_chat(**fields):
    return lambda client: client.chat.completions.with_raw_response.create(
        model="sim", messages=HELLO, stream=True, **fields
    )


def text(chunks, index=0):
    choices = [choice for chunk in chunks for choice in chunk.choices if choice.index == index]
    return "".join(c.delta.content or "" if hasattr(c, "delta") else c.text for c in choices)


def finishes(chunks):
    return [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason]


async def eventually(condition, patience_s=10):
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.05)


async def unfinished(http, url):
    metrics = (await http.get(f"{url}/metrics")).text
    return int(float(re.search(r"^tailrace_gateway_own_streams (\S+)$", metrics, re.MULTILINE).group(1)))


# What OpenAI's API promises.


async def test_a_chat_stream_is_whole_and_ends_by_itself(sdk, calm):
    async with sdk(calm) as client:
        chunks = await client.read(chat(max_tokens=12))
    assert chunks[0].choices[0].delta.role == "assistant"
    assert len(text(chunks).split(" ")) == 12
    assert finishes(chunks) == ["length"]
    assert {(c.id, c.created, c.model, c.object) for c in chunks} == {
        (chunks[0].id, chunks[0].created, "sim", "chat.completion.chunk")
    }


async def test_a_legacy_completion_stream_is_whole_and_ends_by_itself(sdk, calm):
    async with sdk(calm) as client:
        chunks = await client.read(completion(max_tokens=12))
    assert len(text(chunks).split(" ")) == 12
    assert finishes(chunks) == ["length"]
    assert {c.object for c in chunks} == {"text_completion"}


async def test_an_answer_without_streaming_is_whole(sdk, calm):
    async with sdk(calm) as client:
        answer = await client.ask(chat(stream=False, max_tokens=7))
        legacy = await client.ask(completion(stream=False, max_tokens=8))
    assert len(answer.choices[0].message.content.split(" ")) == 7
    assert (answer.choices[0].message.role, answer.choices[0].finish_reason) == ("assistant", "length")
    assert (answer.object, answer.usage.completion_tokens) == ("chat.completion", 7)
    assert len(legacy.choices[0].text.split(" ")) == 8
    assert (legacy.object, legacy.usage.completion_tokens) == ("text_completion", 8)


@pytest.mark.parametrize("kind", [chat, completion])
async def test_two_choices_stay_apart(sdk, calm, kind):
    async with sdk(calm) as client:
        chunks = await client.read(kind(max_tokens=6, n=2))
        answer = await client.ask(kind(stream=False, max_tokens=6, n=2))
    assert [len(text(chunks, index).split(" ")) for index in (0, 1)] == [6, 6]
    assert text(chunks, 0) != text(chunks, 1)
    assert finishes(chunks) == ["length", "length"]
    assert [choice.index for choice in answer.choices] == [0, 1]


@pytest.mark.parametrize("kind", [chat, completion])
async def test_usage_comes_last_for_those_who_ask(sdk, calm, kind):
    async with sdk(calm) as client:
        asked = await client.read(kind(max_tokens=5, stream_options={"include_usage": True}))
        unasked = await client.read(kind(max_tokens=5))
    *before, last = asked
    assert last.choices == []
    assert (last.usage.completion_tokens, last.usage.total_tokens) == (5, last.usage.prompt_tokens + 5)
    assert [chunk.usage for chunk in before + unasked] == [None] * (len(before) + len(unasked))


async def test_models_can_be_listed_and_retrieved(sdk, calm):
    async with sdk(calm) as client:
        models = await client.read(lambda c: c.models.list())
        model = await client.ask(lambda c: c.models.retrieve("sim"))
    assert [m.id for m in models] == ["sim"]
    assert (model.id, model.object, model.owned_by) == ("sim", "model", "default")


async def test_the_stream_helper_assembles_what_was_streamed(sdk, calm):
    async with sdk(calm) as client:
        fields = {"n": 2, "stream_options": {"include_usage": True}}
        events, final = await client.help(**fields)
        chunks = await client.read(chat(**fields))
    assert [choice.message.content for choice in final.choices] == [text(chunks, 0), text(chunks, 1)]
    assert [choice.finish_reason for choice in final.choices] == ["stop", "stop"]
    assert final.usage == chunks[-1].usage
    assert [e.content for e in events if e.type == "content.done"] == [text(chunks, 0), text(chunks, 1)]


# Errors before the first byte.


@pytest.mark.parametrize("streaming", [True, False], ids=["streaming", "whole"])
@pytest.mark.parametrize("kind", [chat, completion])
async def test_an_unknown_model_is_a_not_found_error_that_names_the_known_ones(sdk, calm, kind, streaming):
    def call(client):
        api = client.chat.completions if kind is chat else client.completions
        given = {"messages": HELLO} if kind is chat else {"prompt": "hello"}
        return api.create(model="gpt-4o", stream=streaming, **given)

    async with sdk(calm) as client:
        with pytest.raises(openai.NotFoundError, match=r"'gpt-4o'.*served: sim") as caught:
            await client.ask(call)
    error = caught.value
    assert (error.code, error.param, error.type) == ("model_not_found", "model", "invalid_request_error")


@pytest.mark.parametrize("name", ["gpt-4o", "meta-llama/Llama-3.1-8B"])
async def test_retrieving_an_unknown_model_is_a_not_found_error(sdk, calm, name):
    async with sdk(calm) as client:
        with pytest.raises(openai.NotFoundError, match=name) as caught:
            await client.ask(lambda c: c.models.retrieve(name))
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


@pytest.mark.parametrize("streaming", [True, False], ids=["streaming", "whole"])
@pytest.mark.parametrize(
    ("field", "value"),
    [("n", 0), ("n", "two"), ("max_tokens", 0), ("messages", [])],
    ids=["n=0", "n=text", "max_tokens=0", "messages=empty"],
)
async def test_a_wrong_field_is_a_bad_request_that_names_it(sdk, calm, streaming, field, value):
    fields = {"model": "sim", "messages": HELLO, "stream": streaming, field: value}
    async with sdk(calm) as client:
        with pytest.raises(openai.BadRequestError, match=field) as caught:
            await client.ask(lambda c: c.chat.completions.create(**fields))
    error = caught.value
    assert (error.code, error.param, error.type) == ("invalid_request", field, "invalid_request_error")


async def test_what_is_not_served_is_a_not_found_error_that_says_so(sdk, calm):
    async with sdk(calm) as client:
        with pytest.raises(openai.NotFoundError, match="/v1/embeddings"):
            await client.ask(lambda c: c.embeddings.create(model="sim", input="hello"))


async def test_a_full_queue_is_a_rate_limit_error_and_the_sdk_waits_as_long_as_it_says(sdk, stormy):
    async with stormy({"replicas": 0, "queue": {"maxWaiting": 1}}) as stack, plain_http() as http:
        gateway = await stack.gateway()
        async with sdk(gateway.url) as first, sdk(gateway.url, max_retries=1) as patient:
            waiting = await first.ask(raw_chat())
            with pytest.raises(openai.RateLimitError, match="queue is full") as caught:
                await first.ask(chat())
            assert caught.value.code == "queue_full"
            assert caught.value.response.headers["retry-after"] == "1"

            asked = time.monotonic()
            retrying = asyncio.create_task(patient.ask(raw_chat(max_tokens=4)))
            await asyncio.sleep(0.3)
            await http.delete(f"{gateway.url}/v1/streams/{waiting.headers['tailrace-stream-id']}")
            answer = await retrying
            assert answer.retries_taken == 1
            assert time.monotonic() - asked >= 1.0, "the SDK's own first delay is at most half a second"
            with pytest.raises(openai.APIError, match="cancelled"):
                await first.read(lambda _: waiting.parse())
            await stack.worker()
            chunks = await patient.read(lambda _: answer.parse())
    assert finishes(chunks) == ["length"]


# What Tailrace adds, as far as the SDK reaches it.


async def test_a_key_stands_for_one_answer_however_often_it_is_sent(sdk, calm):
    key = {"Idempotency-Key": f"order-{sdk.__name__}"}
    async with sdk(calm) as client:
        first, second = await asyncio.gather(
            *(client.read(chat(max_tokens=30, extra_headers=key)) for _ in range(2)),
        )
        later = await client.read(chat(max_tokens=30, extra_headers=key))
        with pytest.raises(openai.UnprocessableEntityError) as caught:
            await client.ask(chat(max_tokens=31, extra_headers=key))
    assert first == second == later
    assert finishes(first) == ["length"]
    assert (caught.value.code, caught.value.param) == ("idempotency_mismatch", "Idempotency-Key")


async def test_a_key_stands_for_one_answer_without_streaming_too(sdk, calm):
    key = {"Idempotency-Key": f"whole-{sdk.__name__}"}
    async with sdk(calm) as client:
        answers = await asyncio.gather(
            *(client.ask(chat(stream=False, max_tokens=30, extra_headers=key)) for _ in range(2)),
        )
        later = await client.ask(chat(stream=False, max_tokens=30, extra_headers=key))
    assert answers[0] == answers[1] == later


async def test_a_stream_that_was_cut_off_is_read_on_under_the_id_in_its_header(sdk, calm):
    async with sdk(calm) as client, plain_http() as http:
        undisturbed = await client.read(chat(max_tokens=40))
        raw = await client.ask(raw_chat(max_tokens=40))
        url = f"{calm}/v1/streams/{raw.headers['tailrace-stream-id']}"
        before = await client.read(lambda _: raw.parse(), at_most=10)
        rest = await stream(http, "GET", url, headers={"Last-Event-ID": "10"})
        nothing = await http.get(url, headers={"Last-Event-ID": str(rest.frames[-1].id)})
    assert text(before) + rest.text == text(undisturbed)
    assert rest.ids == list(range(11, 42))
    assert rest.done
    assert nothing.status_code == 204


async def test_the_sdk_itself_can_read_a_stream_on(sdk, calm):
    position = {"Last-Event-ID": "10", "Tailrace-Events": "openai"}

    def resume(name):
        def call(client):
            kind = openai.AsyncStream if sdk is AsyncSdk else openai.Stream
            return client.get(
                f"/streams/{name}",
                cast_to=ChatCompletionChunk,
                stream=True,
                stream_cls=kind[ChatCompletionChunk],
                options={"headers": position},
            )

        return call

    async with sdk(calm) as client:
        undisturbed = await client.read(chat(max_tokens=40))
        raw = await client.ask(raw_chat(max_tokens=40))
        before = await client.read(lambda _: raw.parse(), at_most=10)
        rest = await client.read(resume(raw.headers["tailrace-stream-id"]))
    assert text(before + rest) == text(undisturbed)
    assert finishes(rest) == ["length"]


async def test_closing_the_stream_early_cancels_it_after_the_grace(sdk, calm):
    async with sdk(calm) as client, plain_http() as http:
        raw = await client.ask(raw_chat(max_tokens=4000))
        url = f"{calm}/v1/streams/{raw.headers['tailrace-stream-id']}"
        await client.read(lambda _: raw.parse(), at_most=5)
        left = time.monotonic()
        assert await unfinished(http, calm) == 1, "the grace lets a client come back"
        while await unfinished(http, calm):
            assert time.monotonic() - left < 10
            await asyncio.sleep(0.05)
        assert time.monotonic() - left >= 0.4, "the grace is half a second"
        replay = await stream(http, "GET", url)
    assert replay.error["code"] == "cancelled"
    assert 5 < len(replay.ids) < 1000


async def test_an_error_after_the_first_byte_is_raised_with_its_message_and_code(sdk, calm):
    async with sdk(calm) as client, plain_http() as http:
        raw = await client.ask(raw_chat(max_tokens=4000))
        chunks = []
        reading = asyncio.create_task(client.read(lambda _: raw.parse(), into=chunks))
        await eventually(lambda: len(chunks) > 5)
        await http.delete(f"{calm}/v1/streams/{raw.headers['tailrace-stream-id']}")
        with pytest.raises(openai.APIError, match="The stream was cancelled") as caught:
            await reading
    error = caught.value
    assert (error.code, error.type, error.body["retryable"]) == ("cancelled", "cancelled", False)
    assert error.body["position"] == len(chunks)
    assert finishes(chunks) == []


# What goes wrong behind the gateway.


async def test_heartbeats_before_the_first_token_break_nothing(sdk, stormy):
    async with stormy() as stack:
        gateway = await stack.gateway(heartbeat_s=0.3)
        async with sdk(gateway.url, timeout=2) as client:
            calls = client.read(chat(max_tokens=5)), client.read(completion(max_tokens=5)), client.help(max_tokens=5)
            reading = asyncio.gather(*calls)
            await asyncio.sleep(2.5)
            await stack.worker()
            streamed, legacy, (_, final) = await reading
            assert client.heartbeats >= 3 * 3
    assert finishes(streamed) == finishes(legacy) == ["length"]
    assert text(streamed) == final.choices[0].message.content


async def test_heartbeats_between_tokens_break_nothing(sdk, stormy):
    async with stormy() as stack:
        await stack.worker(tokens_per_s=1)
        gateway = await stack.gateway(heartbeat_s=0.2)
        async with sdk(gateway.url) as client:
            streamed, legacy, (_, final) = await asyncio.gather(
                client.read(chat(max_tokens=4)), client.read(completion(max_tokens=4)), client.help(max_tokens=4)
            )
            assert client.heartbeats >= 3 * 3
    assert len(text(streamed).split(" ")) == len(text(legacy).split(" ")) == 4
    assert text(streamed) == final.choices[0].message.content


async def test_a_worker_killed_in_the_middle_of_a_sentence_goes_unnoticed(sdk, stormy):
    async with stormy() as stack:
        victim = await stack.worker(tokens_per_s=30)
        gateway = await stack.gateway()
        async with sdk(gateway.url) as client:
            chunks = []
            reading = asyncio.create_task(client.read(chat(max_tokens=150), into=chunks))
            helping = asyncio.create_task(client.help(max_tokens=150))
            await eventually(lambda: len(chunks) > 10)
            victim.kill()
            assert len(chunks) < 150
            await stack.worker(tokens_per_s=1000)
            disturbed, (_, final) = await asyncio.gather(reading, helping)
            undisturbed = await client.read(chat(max_tokens=150))
    assert [chunk.choices for chunk in disturbed] == [chunk.choices for chunk in undisturbed]
    assert final.choices[0].message.content == text(undisturbed)


async def test_a_stream_that_no_worker_can_finish_raises_what_happened(sdk, stormy):
    async with stormy() as stack:
        victim = await stack.worker(tokens_per_s=30)
        gateway = await stack.gateway()
        async with sdk(gateway.url) as client:
            chunks = []
            reading = asyncio.create_task(client.read(chat(max_tokens=400), into=chunks))
            await eventually(lambda: len(chunks) > 10)
            victim.kill()
            await stack.worker(first_token_s=60, max_attempts=2, timeouts={"first_token_s": 0.5})
            with pytest.raises(openai.APIError, match="attempts in a row wrote nothing") as caught:
                await reading
    error = caught.value
    assert (error.code, error.type, error.body["retryable"]) == ("worker_lost", "server_error", True)
    assert error.body["position"] == len(chunks)
