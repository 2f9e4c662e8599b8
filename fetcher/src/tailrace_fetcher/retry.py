"""How long to wait before asking again, and when to stop asking; pure.

What counts is not the number of failures but the time without a new byte: a download of hours meets many hiccups, and
each one that was followed by progress is forgotten.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_SECONDS = re.compile(r"\d{1,6}")
#: The hub's own header: `"api";r=0;t=55`, nothing remains for 55 seconds.
_RATE_LIMIT = re.compile(r";\s*r=0\b.*?;\s*t=(\d{1,6})")
_BUSY = frozenset({408, 425, 429})


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Waits double from `first_s` to `most_s`; after `give_up_s` without progress it is over."""

    give_up_s: float = 300.0
    first_s: float = 0.5
    most_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Wait:
    """Ask again after so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Asking again makes no sense within the policy; the reason in words."""

    reason: str


def decide(idle_s: float, failures: int, asked_s: float, luck: float, policy: RetryPolicy) -> Wait | GiveUp:
    """What to do after the `failures`-th failure in a row, `idle_s` seconds after the last progress.

    `asked_s` is what the server asks for (0: nothing) and is never undercut. `luck` (0 to 1) spreads the waits of
    many fetchers over the upper half of the interval.
    """
    backoff = min(policy.most_s, policy.first_s * 2 ** min(failures - 1, 16)) * (0.5 + luck / 2)
    wait = max(backoff, asked_s)
    if idle_s + wait <= policy.give_up_s:
        return Wait(wait)
    if asked_s > backoff:
        return GiveUp(f"it asks to wait {asked_s:.0f} s, and the limit without progress is {policy.give_up_s:.0f} s")
    return GiveUp(f"gave up after {failures} failures and {idle_s:.0f} s without a new byte")


def passes(status: int) -> bool:
    """Whether an answer of this HTTP status may be another one a little later."""
    return status in _BUSY or status >= 500


def asked_wait(headers: Mapping[str, str], now: datetime | None = None) -> float:
    """The seconds that an answer asks to wait: `Retry-After` as a number or a date, or the hub's rate limit; else 0."""
    text = headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    if limit := _RATE_LIMIT.search(headers.get("ratelimit", "")):
        return float(limit.group(1))
    return _until(text, now or datetime.now(UTC)) if text else 0.0


def _until(text: str, now: datetime) -> float:
    try:
        then = parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    return max(0.0, (then.replace(tzinfo=then.tzinfo or UTC) - now).total_seconds())
