"""Between vLLM's serving class and the log: which frames belong to which tokens, and when they become a step.

The serving class asks for one group of tokens after the other. Whatever frames it emits before it asks for the next
belong to the group it has, so the step is complete, and published, at the moment it asks; no next token is awaited.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable

from tailrace_protocol.events import TokenGroup, Usage

from tailrace_worker.engines.engine import Job, Step
from tailrace_worker.engines.vllm.frames import FrameReader

#: Tokens without frames (a tool call not understood yet, text that may be a stop string) wait for the next frame, so
#: that most events have something to say; but not for ever, so that a crash loses little and a stall can be told.
CARRIED_TOKENS = 32
CARRIED_S = 1.0

#: Steps that wait to be read. With more, the serving class is not asked on: a slow log slows generation down.
UNREAD_STEPS = 8

Clock = Callable[[], float]


class Session:
    """One attempt at a request, as the serving class's requests for tokens and its frames pass by."""

    def __init__(self, job: Job, clock: Clock) -> None:
        self.job = job
        self.good = asyncio.Event()
        #: Held from handing a group to the serving class until its frames are known; prompts take turns.
        self.turn = asyncio.Lock()
        self.failure: Exception | None = None
        self._steps: asyncio.Queue[Step | None] = asyncio.Queue()
        self._space = asyncio.Semaphore(UNREAD_STEPS)
        self._clock = clock
        self._reader = FrameReader(job.request)
        self._frames: list[bytes] = []
        self._carried: list[TokenGroup] = []
        self._carried_since: float | None = None
        self._spoke = False
        self._open_choices = 0
        self._prompt_tokens = 0
        self._completion_tokens = 0
        self._replay: dict[int, list[TokenGroup]] = defaultdict(list)
        for groups in job.replay:
            for group in groups:
                self._replay[group.choice].append(group)
        self.choices = 0

    def expect(self, choices: int, prompt_tokens: int) -> int:
        """A prompt with that many choices will be answered; returns the response's number of its first choice."""
        first = self.choices
        self.choices += choices
        self._open_choices += choices
        self._prompt_tokens += prompt_tokens
        return first

    def replay(self, choice: int) -> list[TokenGroup]:
        """What the log holds of a choice."""
        return self._replay[choice]

    def frame(self, data: str) -> None:
        """The serving class emitted an event."""
        frame = self._reader.read(data)
        if frame is not None:
            self._frames.append(frame)

    def answer(self, data: bytes) -> None:
        """The serving class gave a complete response."""
        self._frames.append(self._reader.stamp(data))

    def replayed(self, group: TokenGroup) -> None:
        """The serving class has seen a logged group; its frames are in the log."""
        self._count(group)
        self._frames.clear()

    async def settle(self, group: TokenGroup) -> None:
        """The serving class has seen a new group; the frames since the last one are its frames."""
        self._count(group)
        self._carried.append(group)
        if self._carried_since is None:
            self._carried_since = self._clock()
        if self._open_choices and (self._frames or self._overdue()):
            await self._emit(Step(tuple(self._carried), tuple(self._frames)))

    async def finish(self) -> None:
        """The serving class is done: the last step has the last group, what trails it, and the usage."""
        usage = Usage(self._prompt_tokens, self._completion_tokens)
        await self._emit(Step(tuple(self._carried), tuple(self._frames), usage))

    def close(self) -> None:
        """There will be no more steps."""
        self._steps.put_nowait(None)

    async def next(self) -> Step | None:
        """The next step; `None` when there will be no more."""
        step = await self._steps.get()
        self._space.release()
        return step

    def _count(self, group: TokenGroup) -> None:
        self._completion_tokens += len(group.tokens)
        self._open_choices -= group.finish is not None
        self._reader.first = False

    def _overdue(self) -> bool:
        if not self._spoke:
            return True
        since = self._carried_since or 0.0
        return sum(len(g.tokens) for g in self._carried) >= CARRIED_TOKENS or self._clock() - since >= CARRIED_S

    async def _emit(self, step: Step) -> None:
        self._spoke = True
        self._frames, self._carried, self._carried_since = [], [], None
        await self._space.acquire()
        self._steps.put_nowait(step)
