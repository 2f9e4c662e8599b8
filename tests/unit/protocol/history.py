"""True histories of a log, made step by step beside the log itself, so that the fold has something to be measured by.

A `History` knows, without folding anything, which events belong to the stream: it made them. It also makes everything
that goes wrong: attempts that go on writing after they were superseded, events that the broker lost and that are
published again, duplicates, and take-overs that the broker's fence refused but that a live reader sees.
"""

from dataclasses import dataclass, field

import msgspec
from hypothesis import strategies as st
from tailrace_protocol.events import Accepted, Checkpoint, Delta, Ended, Event, Positioned, Started, last_position

STEPS = ["write"] * 4 + ["lose", "republish", "checkpoint", "repeat", "zombie", "take over", "refused", "end"]
steps = st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 11)), min_size=3, max_size=24)


@dataclass
class Writer:
    """An attempt, with its own idea of how far the stream is."""

    attempt: int
    position: int
    started: Started
    written: list[Event] = field(default_factory=list)


@dataclass
class Seen:
    """What a live subscriber sees, and how long the log was then."""

    event: Event
    log_length: int


class History:
    def __init__(self, plan: list[tuple[str, int]], complete: bool = True) -> None:
        self._serial = 0
        accepted = Accepted(frames=self._frames(1 + len(plan) % 2), created=0, kind="chat")
        self.log: list[Event] = [accepted]
        self.truth: list[Positioned] = [accepted]
        self.true_positions_by_log_length = [0, last_position(accepted)]
        self.live: list[Seen] = [Seen(accepted, 1)]
        self.ended = False
        self._logged = {id(accepted)}
        self._old: list[Writer] = []
        self._writer = self._begin(1)
        for step, number in plan:
            getattr(self, "_" + step.replace(" ", "_"))(number)
        if complete:
            self._republish(0)
            self._end(0)

    @property
    def position(self) -> int:
        """Where the log reaches, with nothing missing before."""
        return last_position(self._unbroken()[-1])

    def lasting(self, event: Event) -> bool:
        """Whether the event belongs to the stream in the end."""
        return any(event is true for true in self.truth) or event in self._lasting_claims

    @property
    def _lasting_claims(self) -> list[Event]:
        """`Started` and checkpoints of attempts whose word holds: nobody took over at or before the place they name."""
        writers = [*self._old, self._writer]
        ends = [w.started.base - 1 for w in writers[1:]] + [last_position(self.truth[-1])]
        claims: list[Event] = []
        for writer, end in zip(writers, ends, strict=True):
            claims.append(writer.started)
            claims += [e for e in writer.written if isinstance(e, Checkpoint) and e.seq <= end]
        return claims

    def _unbroken(self) -> list[Positioned]:
        missing = next((i for i, e in enumerate(self.truth) if id(e) not in self._logged), len(self.truth))
        return self.truth[:missing]

    def _frames(self, count: int) -> list[msgspec.Raw]:
        self._serial += count
        return [msgspec.Raw(b"%d" % (self._serial + i)) for i in range(count)]

    def _append(self, event: Event) -> None:
        self._logged.add(id(event))
        self.log.append(event)
        self.live.append(Seen(event, len(self.log)))
        self.true_positions_by_log_length.append(self.position)

    def _begin(self, attempt: int) -> Writer:
        self.truth = self._unbroken()
        started = Started(attempt=attempt, base=self.position + 1, worker=f"w{attempt}")
        writer = Writer(attempt, self.position, started)
        self._writer = writer
        self._append(started)
        return writer

    def _delta(self, writer: Writer, number: int) -> Delta:
        delta = Delta(writer.attempt, writer.position + 1, [], self._frames(number % 4))
        writer.position = last_position(delta)
        writer.written.append(delta)
        return delta

    def _write(self, number: int) -> None:
        if not self.ended:
            delta = self._delta(self._writer, number)
            self.truth.append(delta)
            self._append(delta)

    def _lose(self, number: int) -> None:
        """The broker loses an event; a live reader may have seen it."""
        if not self.ended:
            delta = self._delta(self._writer, number)
            self.truth.append(delta)
            if number % 2:
                self.live.append(Seen(delta, len(self.log)))

    def _republish(self, number: int) -> None:
        """The writer publishes again what may have been lost: everything since that, or since some earlier event."""
        written = [e for e in self._writer.written if not isinstance(e, Checkpoint)]
        lost = next((i for i, e in enumerate(written) if id(e) not in self._logged), len(written))
        for event in written[max(0, lost - number % 3) :]:
            self._append(event)

    def _checkpoint(self, _: int) -> None:
        if not self.ended:
            checkpoint = Checkpoint(self._writer.attempt, self._writer.position)
            self._writer.written.append(checkpoint)
            self._append(checkpoint)

    def _repeat(self, number: int) -> None:
        self._append(self.log[-1 - number % len(self.log)])

    def _zombie(self, number: int) -> None:
        """An attempt that was superseded goes on: text, a checkpoint, its own end, or all of what it once wrote."""
        if not self._old:
            return
        writer = self._old[number % len(self._old)]
        kind = number % 5
        if kind == 0:
            self._append(Checkpoint(writer.attempt, writer.position))
        elif kind == 1:
            seq = writer.position + 1
            self._append(Ended(writer.attempt, seq, seq, "finished", frames=self._frames(1)))
        elif kind == 2:
            for event in list(writer.written):
                self._append(event)
        else:
            self._append(self._delta(writer, number))

    def _take_over(self, number: int) -> None:
        if not self.ended:
            self._old.append(self._writer)
            self._begin(self._writer.attempt + 1 + number % 2)

    def _refused(self, number: int) -> None:
        """A worker that had read the log some time ago tries to take over, and the fence refuses it."""
        if not self.ended:
            past = self.true_positions_by_log_length[2:]
            base = past[-1 - number % min(4, len(past))] + 1
            attempt = self._writer.attempt + 1 + number % 3
            self.live.append(Seen(Started(attempt, base, f"refused{number}"), len(self.log)))

    def _end(self, number: int) -> None:
        if not self.ended:
            seq, frames = self._writer.position + 1, self._frames(number % 3)
            ended = Ended(self._writer.attempt, seq, seq + max(1, len(frames)) - 1, "finished", frames=frames)
            self.ended = True
            self._writer.position = ended.count
            self._writer.written.append(ended)
            self.truth.append(ended)
            self._append(ended)
