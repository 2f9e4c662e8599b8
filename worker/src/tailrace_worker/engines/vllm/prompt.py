"""One prompt and its choices: the logged groups first, then what the real engine adds to them."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from typing import Any

from tailrace_protocol.errors import ErrorCode, TailraceError
from tailrace_protocol.events import TokenGroup

from tailrace_worker.chunking import Gathering
from tailrace_worker.engines.vllm import verdict
from tailrace_worker.engines.vllm.choice import Choice
from tailrace_worker.engines.vllm.fan_in import FanIn
from tailrace_worker.engines.vllm.internals import (
    AsyncLLM,
    Outputs,
    RequestOutput,
    RequestOutputKind,
    SamplingParams,
    add_token_texts,
    checked_request,
    prompt_text_of,
)
from tailrace_worker.engines.vllm.session import Session
from tailrace_worker.engines.vllm_core.resumption import RESUMED


@dataclass(frozen=True, slots=True)
class Move:
    """A choice has grown by a group, which the log holds already or does not."""

    choice: Choice
    group: TokenGroup
    logged: bool


class Prompt:
    """Answers one prompt of a request. The constructor checks it, and raises what vLLM raises."""

    def __init__(
        self,
        engine: AsyncLLM,
        session: Session,
        prompt: Any,
        params: SamplingParams,
        request_id: str,
        options: dict[str, Any],
    ) -> None:
        self._engine, self._session = engine, session
        self._prompt, self._params = prompt, params
        self._request_id, self._options = request_id, options
        core_request = checked_request(engine, request_id, prompt, params, options.get("lora_request"))
        self._checked = core_request.sampling_params
        self._token_ids: list[int] | None = core_request.prompt_token_ids
        self._text = prompt_text_of(engine, prompt)
        self._prompt_logprobs = self._placeholder_logprobs()
        self._engine_output: Any = None
        tokenizer = engine.renderer.tokenizer
        first = session.expect(params.n, len(self._token_ids or ()))
        self._choices = [Choice(i, first + i, core_request, tokenizer) for i in range(params.n)]
        self._delivered = 0

    async def moves(self) -> AsyncGenerator[Move, None]:
        """What happens to the choices, in order."""
        for move in self._replayed():
            yield move
        for choice in self._open():
            ending = verdict.of_log(choice.tokens, self._checked, self._room())
            if ending is not None:
                choice.end(ending.finish, ending.stop)
                yield Move(choice, choice.group(), logged=False)
        if self._open():
            async for move in self._generated():
                yield move

    def output(self, move: Move) -> RequestOutput | None:
        """What the serving class gets for `move`, if it wants anything now."""
        self._delivered += move.choice.finish is not None
        finished = self._delivered == len(self._choices)
        if self._params.output_kind is not RequestOutputKind.FINAL_ONLY:
            return self._request_output([move.choice.output()], finished)
        if finished:
            return self._request_output([choice.output() for choice in self._choices], finished)
        move.choice.settle()
        return None

    def _open(self) -> list[Choice]:
        return [choice for choice in self._choices if choice.finish is None]

    def _room(self) -> int:
        """How many tokens of output fit the model's context."""
        return int(self._engine.model_config.max_model_len) - len(self._token_ids or ())

    def _replayed(self) -> Iterator[Move]:
        for choice in self._choices:
            for group in self._session.replay(choice.number):
                choice.replay(group)
                yield Move(choice, group, logged=True)

    async def _generated(self) -> AsyncGenerator[Move, None]:
        choices = {choice.index: choice for choice in self._open()}
        gathered = {index: Gathering(self._session.job.chunking) for index in choices}
        now = asyncio.get_running_loop().time
        async with FanIn({index: self._stream(choice) for index, choice in choices.items()}) as outputs:
            while any(choice.finish is None for choice in choices.values()):
                deadlines = [d for g in gathered.values() if (d := g.deadline()) is not None]
                item = await outputs.next(min(deadlines, default=None))
                if item is None:
                    for move in self._overdue(choices, gathered, now()):
                        yield move
                    continue
                index, output = item
                if choices[index].finish is None:
                    for move in self._taken(choices[index], gathered[index], output, now()):
                        yield move
                if choices[index].finish is not None and not output.finished:
                    outputs.stop(index)

    def _overdue(self, choices: dict[int, Choice], gathered: dict[int, Gathering], now: float) -> Iterator[Move]:
        for index, gathering in gathered.items():
            if gathering.due(now):
                yield self._flushed(choices[index], gathering)

    def _taken(self, choice: Choice, gathering: Gathering, output: RequestOutput, now: float) -> Iterator[Move]:
        """Take an output of the engine in pieces that fit into groups."""
        self._note(output)
        (completion,) = output.outputs
        if completion.finish_reason in ("abort", "error"):
            raise TailraceError(ErrorCode.ENGINE_FAILED, "the engine gave this request up")
        start, total = 0, len(completion.token_ids)
        while choice.finish is None and (start < total or completion.finish_reason is not None):
            end = min(total, start + gathering.room())
            choice.take(completion, start, end)
            gathering.add(end - start, now)
            if gathering.due(now) or choice.finish is not None:
                yield self._flushed(choice, gathering)
            start = end

    def _flushed(self, choice: Choice, gathering: Gathering) -> Move:
        gathering.flushed()
        return Move(choice, choice.group(), logged=False)

    def _stream(self, choice: Choice) -> Outputs:
        params = self._params.clone()
        params.n = 1
        params.seed = None if params.seed is None else params.seed + choice.index
        params.stop, params.detokenize = [], False
        params.output_kind = RequestOutputKind.DELTA
        params.extra_args = _with_resumed(params.extra_args, choice.tokens)
        request_id = f"{self._request_id}-{choice.index}"
        outputs: Outputs = self._engine.generate(self._prompt, params, request_id, **self._options)
        return outputs

    def _placeholder_logprobs(self) -> Any:
        if self._params.prompt_logprobs is None or self._token_ids is None:
            return None
        return [None] * len(self._token_ids)

    def _note(self, output: RequestOutput) -> None:
        """Keep what an engine's output tells of the prompt."""
        self._engine_output = output
        if output.prompt_logprobs:
            add_token_texts(self._engine.renderer.tokenizer, (), output.prompt_logprobs)
            self._prompt_logprobs = output.prompt_logprobs

    def _request_output(self, outputs: list[Any], finished: bool) -> RequestOutput:
        source = self._engine_output
        return RequestOutput(
            request_id=self._request_id,
            prompt=self._text,
            prompt_token_ids=self._token_ids,
            prompt_logprobs=self._prompt_logprobs,
            outputs=outputs,
            finished=finished,
            metrics=getattr(source, "metrics", None),
            lora_request=self._options.get("lora_request"),
            num_cached_tokens=getattr(source, "num_cached_tokens", None),
            num_cache_creation_tokens=getattr(source, "num_cache_creation_tokens", None),
            kv_transfer_params=getattr(source, "kv_transfer_params", None),
            ec_transfer_params=getattr(source, "ec_transfer_params", None),
        )


def _with_resumed(extra_args: dict[str, Any] | None, tokens: list[int]) -> dict[str, Any] | None:
    """The engine's extra arguments; a client's own value under our key never reaches the engine."""
    rest = {name: value for name, value in (extra_args or {}).items() if name != RESUMED}
    if tokens:
        rest[RESUMED] = list(tokens)
    return rest or None
