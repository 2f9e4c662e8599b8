"""How much of an answer is still to come, at most and at the present speed."""

import time
from dataclasses import dataclass, field

import msgspec

#: A stream with less than this before its end is left where it is: moving it takes as long.
_SOON_S = 2.0


class _Bounds(msgspec.Struct):
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    n: int | None = None


@dataclass(slots=True)
class Remaining:
    """One attempt at an answer of `most` tokens (0: no bound is known), of which `before` were in the log already."""

    most: int = 0
    before: int = 0
    began: float = field(default_factory=time.monotonic)
    made: int = 0

    @classmethod
    def of(cls, body: bytes, before: int) -> "Remaining":
        """What the client's JSON allows; an engine may understand bounds that this does not, so none is an error."""
        try:
            bounds = msgspec.json.decode(body, type=_Bounds)
        except msgspec.DecodeError:
            return cls(before=before)
        return cls((bounds.max_completion_tokens or bounds.max_tokens or 0) * (bounds.n or 1), before)

    def ends_soon(self, now: float) -> bool:
        """Whether the bound is reached within two seconds. More than was thought possible tells nothing."""
        left = self.most - self.before - self.made
        return self.made > 0 and left >= 0 and left * (now - self.began) <= _SOON_S * self.made
