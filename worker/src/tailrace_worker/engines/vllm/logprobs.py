"""Log-probabilities in the log: what a response that is written only at its end needs of tokens logged long before.

A streaming answer needs none of this: its frames are in the log. There the tokens are replayed with placeholders,
because vLLM's serving classes insist on a value and count the characters of each token's text.
"""

import math

import msgspec
from tailrace_protocol.events import TokenGroup

from tailrace_worker.engines.vllm.internals import Logprob

#: One candidate: token, log-probability (`None` for minus infinity), rank, text.
_Candidate = tuple[int, float | None, int | None, str | None]
_decoder = msgspec.json.Decoder(list[list[_Candidate] | None])


def stored(positions: list[dict[int, Logprob] | None]) -> msgspec.Raw:
    """`positions` as a token group keeps them."""
    return msgspec.Raw(msgspec.json.encode([None if p is None else _candidates(p) for p in positions]))


def is_stored(group: TokenGroup) -> bool:
    """Whether the group has log-probabilities in it."""
    return bool(bytes(group.replay))


def restored(group: TokenGroup) -> list[dict[int, Logprob] | None]:
    """What `stored` kept; empty when nothing was."""
    if not is_stored(group):
        return []
    return [None if p is None else _position(p) for p in _decoder.decode(group.replay)]


def placeholders(group: TokenGroup) -> list[dict[int, Logprob] | None]:
    """Values that nobody will see, one for each token of the group."""
    return [{token: Logprob(0.0, 1, None)} for token in group.tokens]


def _candidates(position: dict[int, Logprob]) -> list[_Candidate]:
    return [
        (token, None if math.isinf(c.logprob) else c.logprob, c.rank, c.decoded_token) for token, c in position.items()
    ]


def _position(candidates: list[_Candidate]) -> dict[int, Logprob]:
    return {
        token: Logprob(-math.inf if value is None else value, rank, text) for token, value, rank, text in candidates
    }
