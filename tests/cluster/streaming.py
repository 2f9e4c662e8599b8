"""Clients that stream all the time and say what happened to them.

Each asks for an answer whose text is known, follows it, and, when the connection ends before the answer does, goes on
where it stopped, as Tailrace's own clients do. So two things are counted: connections that were cut (what a client that
cannot resume would have felt) and streams that broke (no way to their end, or another text than the right one).
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

#: A node that was killed is back, with its NATS servers, within a minute on an idle machine and two on a busy one.
_PATIENCE_S = 150.0
_RETRY_S = 0.2
#: Gateways are never silent for longer than their heartbeat of 10 s: who hears nothing for this long is alone.
_SILENCE_S = 15.0


@dataclass
class Answer:
    """What one client saw of one answer."""

    prompt: str
    text: str = ""
    last_id: int = 0
    finish: str = ""
    stream: str = ""
    cuts: list[str] = field(default_factory=list)
    refusals: int = 0
    refusal: str = ""
    broken: str = ""
    longest_pause_s: float = 0.0
    #: When it was first asked for, by the monotonic clock, and how long its first token took from then on.
    asked_at: float = 0.0
    first_token_s: float = 0.0


@dataclass
class Load:
    """`streams` clients at once against one model, each asking again when its answer has ended."""

    url: str
    model: str
    streams: int
    tokens: int
    answers: list[Answer] = field(default_factory=list)
    running: dict[int, Answer] = field(default_factory=dict)
    _texts: dict[str, str] = field(default_factory=dict)
    _stopping: bool = False

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Load"]:
        """Run the clients for as long as the block lasts; then let what runs come to its end."""
        tasks = [asyncio.create_task(self._client(number)) for number in range(self.streams)]
        try:
            yield self
        finally:
            self._stopping = True
            await asyncio.gather(*tasks)

    async def wait_all_running(self) -> None:
        """Wait until every client has seen text."""
        async with asyncio.timeout(_PATIENCE_S):
            while len(self.running) < self.streams or not all(answer.text for answer in self.running.values()):  # noqa: ASYNC110
                await asyncio.sleep(0.1)

    def judge(self) -> None:
        """Compare the texts: the same question has one right answer."""
        for answer in self.answers:
            right = self._texts.setdefault(answer.prompt, answer.text if not answer.cuts and not answer.broken else "")
            if not answer.broken and right and answer.text != right:
                answer.broken = (
                    f"another text than the right one, from position {_first_difference(answer.text, right)}"
                )

    async def _client(self, number: int) -> None:
        await asyncio.sleep(0.05 * number)
        while not self._stopping:
            answer = self.running[number] = Answer(f"question {number}")
            try:
                async with (
                    asyncio.timeout(_PATIENCE_S * 2),
                    httpx.AsyncClient(timeout=httpx.Timeout(_SILENCE_S, connect=2)) as client,
                ):
                    await self._follow(client, answer)
            except TimeoutError:
                answer.broken = f"no end within {_PATIENCE_S * 2:.0f} s, at event {answer.last_id}: {answer.cuts}"
            self.answers.append(answer)
            self.running.pop(number, None)

    async def _follow(self, client: httpx.AsyncClient, answer: Answer) -> None:
        """The whole answer, over as many connections as it takes."""
        deadline = time.monotonic() + _PATIENCE_S
        while not answer.finish and not answer.broken:
            before = answer.last_id
            try:
                await self._connection(client, answer)
            except httpx.HTTPError as error:
                self._cut(answer, type(error).__name__)
            if answer.last_id > before:
                deadline = time.monotonic() + _PATIENCE_S
            if not answer.finish and time.monotonic() > deadline:
                answer.broken = (
                    answer.broken or f"no progress for {_PATIENCE_S:.0f} s: {answer.cuts[-3:]} {answer.refusal}"
                )
            if not answer.finish:
                await asyncio.sleep(_RETRY_S)

    async def _connection(self, client: httpx.AsyncClient, answer: Answer) -> None:
        """One connection, to its end."""
        if answer.stream:
            where = f"{self.url}/v1/streams/{answer.stream}?starting_after={answer.last_id}"
            request = client.build_request("GET", where)
        else:
            request = client.build_request("POST", f"{self.url}/v1/chat/completions", json=self._body(answer))
        answer.asked_at = answer.asked_at or time.monotonic()
        response = await client.send(request, stream=True)
        try:
            if response.status_code != 200:
                await response.aread()
                return self._refused(answer, response)
            answer.stream = response.headers["tailrace-stream-id"] if not answer.stream else answer.stream
            await self._read(response, answer)
        finally:
            await response.aclose()

    def _refused(self, answer: Answer, response: httpx.Response) -> None:
        answer.refusals += 1
        answer.refusal = f"status {response.status_code}: {response.text[:300]}"
        if response.status_code in (404, 410, 400):
            answer.broken = answer.refusal

    async def _read(self, response: httpx.Response, answer: Answer) -> None:
        last, event_id, name = time.monotonic(), 0, ""
        async for line in response.aiter_lines():
            if not line:
                name = ""
            elif line.startswith("id: "):
                event_id = int(line[4:])
            elif line.startswith("event: "):
                name = line[7:]
            elif line.startswith("data: ") and line != "data: [DONE]" and not name:
                now = time.monotonic()
                answer.longest_pause_s, last = max(answer.longest_pause_s, now - last), now
                if not self._take(answer, event_id, json.loads(line[6:])):
                    return
                if answer.text and not answer.first_token_s:
                    answer.first_token_s = now - answer.asked_at
        if not answer.finish:
            self._cut(answer, "the response ended")

    def _take(self, answer: Answer, event_id: int, chunk: dict[str, object]) -> bool:
        """Take in one event; whether more may follow."""
        if "error" in chunk:
            error = chunk["error"]
            assert isinstance(error, dict)
            self._cut(answer, str(error.get("code")))
            if error.get("code") != "shutting_down":
                answer.broken = json.dumps(error)
            return False
        if event_id != answer.last_id + 1:
            answer.broken = f"event {event_id} after {answer.last_id}"
            return False
        answer.last_id = event_id
        choices = chunk.get("choices")
        assert isinstance(choices, list)
        if choices:
            answer.text += choices[0]["delta"].get("content") or ""
            answer.finish = choices[0].get("finish_reason") or ""
        return True

    def _cut(self, answer: Answer, why: str) -> None:
        if answer.stream:
            answer.cuts.append(why)
        else:
            answer.refusals += 1

    def _body(self, answer: Answer) -> dict[str, object]:
        messages = [{"role": "user", "content": answer.prompt}]
        return {"model": self.model, "stream": True, "max_tokens": self.tokens, "messages": messages}


async def ending(url: str, model: str, tokens: int, running: asyncio.Event) -> str:
    """One long answer, read by a client that does not resume: its finish reason, or its error's code.

    `running` is set once there is text. An ending without a word is the name of the network's error. Who is refused the
    connection tries again: nodes hear a moment late where a Service's new pods are.
    """
    body = {"model": model, "stream": True, "max_tokens": tokens, "messages": [{"role": "user", "content": "go on"}]}
    chunk: dict[str, Any] = {}
    transport = httpx.AsyncHTTPTransport(retries=5)
    try:
        async with (
            httpx.AsyncClient(timeout=httpx.Timeout(_SILENCE_S, connect=2), transport=transport) as client,
            client.stream("POST", f"{url}/v1/chat/completions", json=body) as response,
        ):
            async for line in response.aiter_lines():
                if line.startswith("data: {"):
                    chunk = json.loads(line[6:])
                    running.set()
    except httpx.HTTPError as error:
        return type(error).__name__
    return str(chunk["error"]["code"] if "error" in chunk else chunk["choices"][0]["finish_reason"])


def _first_difference(one: str, other: str) -> int:
    pairs = zip(one, other, strict=False)
    return next((index for index, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))
