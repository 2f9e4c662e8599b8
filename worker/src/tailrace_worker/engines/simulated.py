"""The simulated engine: deterministic tokens at a set pace, for load and chaos tests only.

Each token is a pure function of (request body, choice, position), so that a stream continued by another worker can
be compared letter by letter with an undisturbed one. It speaks just enough of OpenAI's API for that: `max_tokens`,
`n`, `stream_options.include_usage`; without `max_tokens` an answer ends by itself ("stop"). And one thing beside it,
for measuring: with `timestamps`, each chunk says when it was made (`made_ns`, of the machine's monotonic clock).
"""

import asyncio
import hashlib
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass

import msgspec
from tailrace_protocol.errors import ErrorCode, TailraceError
from tailrace_protocol.events import TokenGroup, Usage
from tailrace_protocol.requests import Request
from tailrace_protocol.settings import SimulatedSettings

from tailrace_worker.engines.engine import Job, Progress, Step

_WORDS = (
    *("river", "water", "turbine", "gate", "flow", "stone", "bridge", "mill"),
    *("weir", "channel", "spring", "delta", "rain", "lake", "sluice", "current"),
)
_DEFAULT_TOKENS = 64
_MAX_TOKENS = 1_000_000


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = False


class _Body(msgspec.Struct):
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    n: int | None = None
    stream_options: _StreamOptions | None = None
    timestamps: bool | None = False


@dataclass(frozen=True, slots=True)
class _Plan:
    request: Request
    model: str
    seed: bytes
    choices: int
    tokens: int
    finish: str
    include_usage: bool
    timestamps: bool

    def token(self, choice: int, position: int) -> int:
        digest = hashlib.blake2b(b"%s/%d/%d" % (self.seed, choice, position), digest_size=4).digest()
        return int.from_bytes(digest, "big") % len(_WORDS)

    def usage(self) -> Usage:
        return Usage(prompt_tokens=1, completion_tokens=self.choices * self.tokens)


class SimulatedEngine:
    """Runs up to `capacity` streams, each at `tokens_per_s`."""

    def __init__(self, settings: SimulatedSettings, model: str, capacity: int) -> None:
        self.capacity = capacity
        self.healthy = True
        self.failure = ""
        self.active = 0
        self._settings = settings
        self._model = model

    async def start(self, progress: Progress) -> None:
        """Nothing to load."""
        progress("ready at once: the engine is simulated")

    async def stop(self) -> None:
        """Nothing to stop."""

    async def generate(self, job: Job) -> AsyncGenerator[Step, None]:
        """See `Engine.generate`."""
        return self._steps(_plan(job, self._model), job)

    async def _steps(self, plan: _Plan, job: Job) -> AsyncGenerator[Step, None]:
        done = sum(len(g.tokens) for groups in job.replay for g in groups if g.choice == 0)
        clock = _Clock(self._settings, done)
        self.active += 1
        try:
            for position in range(done, plan.tokens):
                await clock.wait_for(position)
                if position + 1 < plan.tokens:
                    yield _step(plan, position)
            yield _last_step(plan)
        finally:
            self.active -= 1


class _Clock:
    """When each token is due, counted from the attempt's start so that lateness does not add up."""

    def __init__(self, settings: SimulatedSettings, done: int) -> None:
        self._interval = 1.0 / settings.tokens_per_s
        self._start = time.monotonic() + settings.first_token_s - done * self._interval

    async def wait_for(self, position: int) -> None:
        delay = self._start + position * self._interval - time.monotonic()
        await asyncio.sleep(max(0.0, delay))


def _plan(job: Job, model: str) -> _Plan:
    try:
        body = msgspec.json.decode(job.body, type=_Body)
    except msgspec.MsgspecError as error:
        raise TailraceError(ErrorCode.INVALID_REQUEST, f"the request body is wrong: {error}") from error
    wanted = body.max_completion_tokens if body.max_completion_tokens is not None else body.max_tokens
    tokens = _DEFAULT_TOKENS if wanted is None else wanted
    if not 1 <= tokens <= _MAX_TOKENS:
        raise TailraceError(ErrorCode.INVALID_REQUEST, f"max_tokens must be 1 to {_MAX_TOKENS}", param="max_tokens")
    usage = body.stream_options is not None and bool(body.stream_options.include_usage)
    seed = hashlib.blake2b(job.body, digest_size=16).digest()
    finish = "stop" if wanted is None else "length"
    return _Plan(job.request, model, seed, body.n or 1, tokens, finish, usage, bool(body.timestamps))


def _step(plan: _Plan, position: int) -> Step:
    tokens = [plan.token(choice, position) for choice in range(plan.choices)]
    finish = plan.finish if position + 1 == plan.tokens else None
    groups = tuple(TokenGroup(choice, [token], finish) for choice, token in enumerate(tokens))
    if not plan.request.streaming:
        return Step(groups)
    return Step(groups, tuple(_chunk(plan, c, _text(position, t), finish) for c, t in enumerate(tokens)))


def _last_step(plan: _Plan) -> Step:
    step = _step(plan, plan.tokens - 1)
    if not plan.request.streaming:
        return Step(step.groups, (_response(plan),), plan.usage())
    frames = (*step.frames, _usage_chunk(plan)) if plan.include_usage else step.frames
    return Step(step.groups, frames, plan.usage())


def _text(position: int, token: int) -> str:
    return (" " if position else "") + _WORDS[token]


def _envelope(plan: _Plan, suffix: str) -> dict[str, object]:
    kind = "chat.completion" if plan.request.kind == "chat" else "text_completion"
    name = kind + (suffix if plan.request.kind == "chat" else "")
    return {"id": plan.request.response_id, "object": name, "created": plan.request.created, "model": plan.model}


def _chunk(plan: _Plan, choice: int, text: str, finish: str | None) -> bytes:
    content = {"delta": {"content": text}} if plan.request.kind == "chat" else {"text": text, "logprobs": None}
    choices = [{"index": choice, **content, "finish_reason": finish}]
    made: dict[str, object] = {"made_ns": time.monotonic_ns()} if plan.timestamps else {}
    return msgspec.json.encode({**_envelope(plan, ".chunk"), "choices": choices, **made})


def _usage_json(plan: _Plan) -> dict[str, int]:
    usage = plan.usage()
    total = usage.prompt_tokens + usage.completion_tokens
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": total,
    }


def _usage_chunk(plan: _Plan) -> bytes:
    return msgspec.json.encode({**_envelope(plan, ".chunk"), "choices": [], "usage": _usage_json(plan)})


def _response(plan: _Plan) -> bytes:
    choices = [_choice(plan, choice) for choice in range(plan.choices)]
    return msgspec.json.encode({**_envelope(plan, ""), "choices": choices, "usage": _usage_json(plan)})


def _choice(plan: _Plan, choice: int) -> dict[str, object]:
    text = "".join(_text(p, plan.token(choice, p)) for p in range(plan.tokens))
    if plan.request.kind == "chat":
        content: dict[str, object] = {"message": {"role": "assistant", "content": text}}
    else:
        content = {"text": text, "logprobs": None}
    return {"index": choice, **content, "finish_reason": plan.finish}
