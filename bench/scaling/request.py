"""What is simulated: requests that arrive at known times and hold a slot for a known time."""

from typing import NamedTuple

#: Of one worker: tokens a second of a prompt that is read, seconds a token that is generated, and a request's own cost.
_PREFILL_TOKENS_PER_S = 8_000
_TOKEN_S = 0.03
_OVERHEAD_S = 0.02


class Request(NamedTuple):
    """One request: when it arrives, in seconds from the trace's start, and how long it holds a worker's slot."""

    at: float
    service_s: float


def service_s(context_tokens: int, generated_tokens: int) -> float:
    """How long a request holds its slot on a worker that is not overloaded, in seconds."""
    return context_tokens / _PREFILL_TOKENS_PER_S + generated_tokens * _TOKEN_S + _OVERHEAD_S
