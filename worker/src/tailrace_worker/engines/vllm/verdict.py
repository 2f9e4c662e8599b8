"""Whether an answer whose tokens are all in the log was complete already: a pure decision.

The log may end exactly at the last token, its end untold. Generating on would then add a token that does not belong
to the answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Ending:
    """How the answer ended, in vLLM's words."""

    finish: str
    stop: int | str | None


def of_log(tokens: Sequence[int], params: Any, room: int) -> Ending | None:
    """How the answer `tokens` ended, or `None` when there is more to come.

    `params` are vLLM's sampling parameters, completed with the model's end-of-text tokens; `room` is the number of
    tokens that fit the context.
    """
    if not tokens:
        return None
    if tokens[-1] == params.eos_token_id:
        return Ending("stop", None)
    if tokens[-1] in (params.stop_token_ids or ()):
        return Ending("stop", tokens[-1])
    if len(tokens) >= min(params.max_tokens, room):
        return Ending("length", None)
    return None
