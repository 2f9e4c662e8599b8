"""One answer while it is written: its tokens and their text, whoever produced them.

One instance of vLLM's detokenizer sees the logged tokens and then the new ones, so that characters and stop strings
that span the cut come out as if there were none.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
from tailrace_protocol.events import TokenGroup

from tailrace_worker.engines.vllm import logprobs as log_probabilities
from tailrace_worker.engines.vllm.internals import (
    CompletionOutput,
    IncrementalDetokenizer,
    Logprob,
    RequestOutputKind,
    add_token_texts,
)

Positions = list[dict[int, Logprob] | None]


class Choice:
    """The choice `index` of a prompt, which is the choice `number` of the response."""

    def __init__(self, index: int, number: int, core_request: Any, tokenizer: Any) -> None:
        params = core_request.sampling_params
        self.index = index
        self.number = number
        self.finish: str | None = None
        self.stop: int | str | None = None
        self._tokenizer = tokenizer
        self._kind = params.output_kind
        self._wants_logprobs = params.num_logprobs is not None
        self._params = params
        self._detokenizer = IncrementalDetokenizer.from_new_request(tokenizer, core_request)
        self._logprobs: Positions = []
        self._taken = 0
        self._engine_output: Any = None

    @property
    def tokens(self) -> list[int]:
        """All tokens so far; not to be changed."""
        tokens: list[int] = self._detokenizer.output_token_ids
        return tokens

    @property
    def count(self) -> int:
        """How many tokens there are so far."""
        return int(self._detokenizer.num_output_tokens())

    def replay(self, group: TokenGroup) -> None:
        """Take a logged group."""
        positions = None
        if self._wants_logprobs:
            positions = log_probabilities.restored(group) or log_probabilities.placeholders(group)
            if not log_probabilities.is_stored(group):
                add_token_texts(self._tokenizer, self.tokens, positions)
        self._feed(group.tokens, positions, group.finish, group.stop)

    def take(self, output: Any, start: int, end: int) -> None:
        """Take the tokens from `start` to `end` of the engine's output; its end belongs to its last token."""
        tokens = list(output.token_ids)[start:end]
        positions = None
        if self._wants_logprobs:
            positions = list(output.logprobs or [])[start:end]
            add_token_texts(self._tokenizer, self.tokens, positions)
        last = end >= len(output.token_ids)
        self._engine_output = output
        self._feed(tokens, positions, output.finish_reason if last else None, output.stop_reason if last else None)

    def end(self, finish: str, stop: int | str | None) -> None:
        """The answer is complete as it is."""
        self.finish, self.stop = finish, stop

    def _feed(
        self, tokens: Sequence[int], positions: Positions | None, finish: str | None, stop: int | str | None
    ) -> None:
        before = self.count
        ended_by_token = finish == "stop" and not isinstance(stop, str)
        matched = self._detokenizer.update(list(tokens), ended_by_token)
        if matched is not None:
            finish, stop = "stop", matched
        if positions is not None:
            self._logprobs.extend(positions[: self.count - before])
        self.finish, self.stop = finish, stop

    def group(self) -> TokenGroup:
        """The tokens since the last group, as the log shall hold them."""
        fresh = self.tokens[self._taken :]
        stored = None
        if self._wants_logprobs and self._kind is not RequestOutputKind.DELTA:
            stored = log_probabilities.stored(self._logprobs[self._taken :])
        return TokenGroup(self.number, fresh, self.finish, self.stop, stored or msgspec.Raw())

    def settle(self) -> None:
        """The tokens so far belong to groups already; the serving class gets them later."""
        self._taken = self.count

    def output(self) -> CompletionOutput:
        """What the serving class gets for the tokens since the last output, or for all of them, as it asked."""
        delta = self._kind is RequestOutputKind.DELTA
        start = self._taken if delta else 0
        self.settle()
        fields: dict[str, Any] = {
            "index": self.index,
            "text": self._detokenizer.get_next_output_text(self.finish is not None, delta),
            "token_ids": self.tokens[start:],
            "logprobs": self._logprobs[start:] if self._wants_logprobs else None,
            "cumulative_logprob": None,
            "finish_reason": self.finish,
            "stop_reason": self.stop,
        }
        return replace(self._engine_output, **fields) if self._engine_output else CompletionOutput(**fields)
