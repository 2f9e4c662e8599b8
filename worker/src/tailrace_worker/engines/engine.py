"""The door between the worker and whatever produces tokens.

An engine turns a job (the request, and what the log already holds of it) into steps. A step is what becomes one log
event: the tokens of one group and the frames that they produced. A job whose replay is empty is a first run; there
is one code path for both.
"""

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import Protocol

from tailrace_protocol.events import TokenGroup, Usage
from tailrace_protocol.requests import Request
from tailrace_protocol.settings import ChunkingSettings

#: Told while an engine starts: a sentence for a waiting person.
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Job:
    """One attempt at a request.

    `body` is the client's JSON. `replay` holds, in order, the token groups of every event that the log holds: the
    engine rebuilds its state from them and produces no frame for them again.
    """

    request: Request
    body: bytes
    replay: tuple[tuple[TokenGroup, ...], ...] = ()
    chunking: ChunkingSettings = field(default_factory=ChunkingSettings)


@dataclass(frozen=True, slots=True)
class Step:
    """What becomes one log event. `usage` is set on the last step alone, and covers all attempts.

    A streaming job's frames are OpenAI chunks; a job with `request.streaming` false has one frame in all, the
    complete response, in its last step. Frames bear the request's `response_id` and `created`.
    """

    groups: tuple[TokenGroup, ...] = ()
    frames: tuple[bytes, ...] = ()
    usage: Usage | None = None


class Engine(Protocol):
    """A running model."""

    @property
    def capacity(self) -> int:
        """How many streams it runs at once."""
        ...

    @property
    def healthy(self) -> bool:
        """Whether it can go on; a worker whose engine is dead exits, so that it is replaced."""
        ...

    @property
    def failure(self) -> str:
        """What a dead engine said last, in one line; empty when it said nothing."""
        ...

    async def start(self, progress: Progress) -> None:
        """Load the model; long steps are told to `progress`.

        Raises:
            CannotRunError: with what is wrong and what to do about it, for a person.
        """
        ...

    async def stop(self) -> None:
        """Stop, leaving no process behind."""
        ...

    async def generate(self, job: Job) -> AsyncGenerator[Step, None]:
        """Check the request and begin; returns as soon as the request is known to be good.

        Closing the returned generator (`aclose`) stops generation at the engine at once. Its last step has `usage`.

        Raises:
            TailraceError: a request that this engine refuses, naming the field and the remedy; also from the
                generator, for an engine that fails midway (`engine_failed`).
        """
        ...
