"""The simulated workers: slots that requests hold, and who goes first when there are too many."""

from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(slots=True, eq=False)
class Worker:
    """One worker; `streams` maps a request's number to when it ends."""

    number: int
    created_at: float
    ready_at: float
    streams: dict[int, float] = field(default_factory=dict)
    draining: bool = False

    def serves(self, now: float) -> bool:
        """Whether it takes new streams."""
        return not self.draining and self.ready_at <= now


class Workers:
    """All workers that cost GPU time now, and the GPU time that was spent."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.gpu_s = 0.0
        self._by_number: dict[int, Worker] = {}
        self._made = 0

    def __iter__(self) -> Iterator[Worker]:
        return iter(tuple(self._by_number.values()))

    def get(self, number: int) -> Worker | None:
        """The worker of this number, if it is still there."""
        return self._by_number.get(number)

    def add(self, created_at: float, ready_at: float) -> Worker:
        """A new worker."""
        worker = self._by_number[self._made] = Worker(self._made, created_at, ready_at)
        self._made += 1
        return worker

    def remove(self, worker: Worker, now: float) -> None:
        """End a worker and count what it cost."""
        self.gpu_s += now - worker.created_at
        del self._by_number[worker.number]

    @property
    def kept(self) -> list[Worker]:
        """Those that are not on their way out."""
        return [worker for worker in self._by_number.values() if not worker.draining]

    @property
    def draining(self) -> list[Worker]:
        """Those that are."""
        return [worker for worker in self._by_number.values() if worker.draining]

    def with_most_room(self, now: float) -> Worker | None:
        """Where the next stream goes; `None` when every slot is taken."""
        free = [w for w in self._by_number.values() if len(w.streams) < self.slots and w.serves(now)]
        return min(free, key=lambda worker: len(worker.streams), default=None)


def going_order(kept: list[Worker], now: float, *, fewest_first: bool) -> list[Worker]:
    """Who goes first: those that do not serve yet, then by streams if the policy knows them, then the newest.

    That is what a ReplicaSet does by itself, and with `fewest_first` what it does with deletion costs on its pods.
    """

    def rank(worker: Worker) -> tuple[bool, int, float]:
        serves = worker.ready_at <= now
        return serves, len(worker.streams) if fewest_first and serves else 0, -worker.created_at

    return sorted(kept, key=rank)
