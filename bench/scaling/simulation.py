"""The simulation itself: one queue, workers with slots, and a policy that is asked for their number.

Times are seconds from the trace's start. Every run of a trace ends at the same moment, and workers cost GPU time until
then: a policy that leaves some running pays for them, as it would.
"""

import heapq
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from tailrace_operator.scaling import Carrier, leaving

from bench.scaling.autoscaler import Autoscaler, View
from bench.scaling.request import Request
from bench.scaling.result import Outcome, percentile
from bench.scaling.workers import Worker, Workers, going_order

_LONG_AGO = -math.inf


@dataclass(frozen=True, slots=True)
class Setup:
    """What all policies have in common."""

    cold_start_s: float
    slots: int = 8
    max_workers: int = 64
    max_wait_s: float = 900.0
    """A request that waits longer is refused; so long is waited after the last arrival, too."""
    max_queued: int = 10_000
    hand_over_s: float = 0.3
    """What a stream loses when another worker goes on with it."""
    may_finish_s: float = 2.0
    """A stream with less than this before it ends on the worker it is on."""


@dataclass(slots=True)
class _Waiting:
    number: int
    since: float
    was_cut: bool = False


class Simulation:
    """One trace under one policy. `run` it once."""

    def __init__(self, requests: Sequence[Request], policy: Autoscaler, setup: Setup) -> None:
        self._requests = requests
        self._policy = policy
        self._setup = setup
        self._workers = Workers(setup.slots)
        self._queue: deque[_Waiting] = deque()
        self._events: list[tuple[float, int, str, tuple[int, ...]]] = []
        self._pushed = self._accepted = self._active = 0
        self._size = self._changes = self._refused = self._cut = 0
        self._waits: list[float] = []
        self._means = _Means(policy.first_look)

    def run(self) -> Outcome:
        """Let all requests come and be answered or refused."""
        end = self._requests[-1].at + self._setup.max_wait_s
        self._push(self._policy.first_look, "look")
        if self._policy.starts_warm:
            self._workers.add(0.0, _LONG_AGO)
            self._size = 1
        arrivals = iter(range(len(self._requests)))
        arriving = next(arrivals, None)
        while True:
            comes = self._requests[arriving].at if arriving is not None else math.inf
            happens = self._events[0][0] if self._events else math.inf
            now = min(comes, happens)
            if now > end:
                return self._outcome(end)
            self._means.advance(now, self._active, len(self._queue))
            if arriving is not None and comes <= happens:
                self._arrive(arriving, now)
                arriving = next(arrivals, None)
            else:
                _, _, kind, about = heapq.heappop(self._events)
                getattr(self, f"_on_{kind}")(now, *about)

    def _push(self, at: float, kind: str, *about: int) -> None:
        self._pushed += 1
        heapq.heappush(self._events, (at, self._pushed, kind, about))

    def _arrive(self, number: int, now: float) -> None:
        self._accepted += 1
        if len(self._queue) >= self._setup.max_queued:
            self._refuse()
            return
        self._queue.append(_Waiting(number, now))
        self._fill(now)
        if self._size == 0:
            self._scale(self._policy.on_request_at_zero(), now)

    def _refuse(self) -> None:
        self._refused += 1
        self._waits.append(self._setup.max_wait_s)

    def _fill(self, now: float) -> None:
        """Give waiting requests to free slots, the oldest first."""
        while self._queue:
            first = self._queue[0]
            if now - first.since > self._setup.max_wait_s and not first.was_cut:
                self._queue.popleft()
                self._refuse()
                continue
            worker = self._workers.with_most_room(now)
            if worker is None:
                return
            self._queue.popleft()
            if not first.was_cut:
                self._waits.append(now - first.since)
            self._active += 1
            self._generate(worker, first.number, now + self._requests[first.number].service_s)

    def _generate(self, worker: Worker, number: int, until: float) -> None:
        worker.streams[number] = until
        self._push(until, "finished", worker.number, number)

    def _on_finished(self, now: float, worker_number: int, number: int) -> None:
        worker = self._workers.get(worker_number)
        if worker is None or worker.streams.get(number) != now:
            return  # It was handed over or cut meanwhile.
        del worker.streams[number]
        self._active -= 1
        if worker.draining and not worker.streams:
            self._workers.remove(worker, now)
        self._fill(now)
        self._hand_over(now)

    def _on_serves(self, now: float) -> None:
        self._fill(now)
        self._hand_over(now)

    def _on_look(self, now: float) -> None:
        self._scale(self._policy.size(self._view(now), self._size), now)
        if (then := self._policy.next_look(now)) < math.inf:
            self._push(then, "look")

    def _view(self, now: float) -> View:
        kept = self._workers.kept
        ready = sum(worker.serves(now) for worker in kept)
        active_mean, in_flight_mean = self._means.since_last(now, self._active, len(self._queue))
        return View(
            at=now,
            accepted=self._accepted,
            active=self._active,
            queued=len(self._queue),
            ready=ready,
            starting=len(kept) - ready,
            slots=self._setup.slots,
            cold_start_s=self._setup.cold_start_s,
            active_mean=active_mean,
            in_flight_mean=in_flight_mean,
        )

    def _scale(self, wanted: int, now: float) -> None:
        wanted = max(0, min(self._setup.max_workers, wanted))
        self._changes += wanted != self._size
        self._size = wanted
        missing = wanted - len(self._workers.kept)
        if missing > 0:
            self._add(missing, now)
        elif missing < 0:
            self._take(-missing, now)

    def _add(self, missing: int, now: float) -> None:
        """Those that were on their way out stay instead, where the policy can tell them to."""
        if self._policy.hands_over:
            for worker in sorted(self._workers.draining, key=lambda w: -len(w.streams))[:missing]:
                worker.draining = False
                missing -= 1
        for _ in range(missing):
            worker = self._workers.add(now, now + self._setup.cold_start_s)
            self._push(worker.ready_at, "serves")
        self._fill(now)

    def _take(self, surplus: int, now: float) -> None:
        for worker in self._chosen(surplus, now):
            worker.draining = True
            if not worker.streams:
                self._workers.remove(worker, now)
            elif not self._policy.hands_over:
                self._push(now + self._policy.drain_s, "killed", worker.number)
        self._hand_over(now)

    def _chosen(self, surplus: int, now: float) -> list[Worker]:
        """Who goes: those that do not serve yet, then by the operator's own plan, or as a ReplicaSet chooses."""
        kept = going_order(self._workers.kept, now, fewest_first=self._policy.hands_over)
        if not self._policy.empties_in_turn:
            return kept[:surplus]
        unready = [worker for worker in kept if worker.ready_at > now][:surplus]
        before = {str(worker.number): worker for worker in self._workers.draining}
        serving = [*before.values(), *(worker for worker in kept if worker.ready_at <= now)]
        plan = leaving(
            surplus - len(unready) + len(before), [self._carrier(worker, now) for worker in serving], before.keys()
        )
        going = {carrier.pod for carrier in plan} - before.keys()
        return unready + [worker for worker in serving if str(worker.number) in going]

    def _carrier(self, worker: Worker, now: float) -> Carrier:
        began = (until - self._requests[number].service_s for number, until in worker.streams.items())
        name, count = str(worker.number), len(worker.streams)
        return Carrier(name, name, count, max((now - at for at in began), default=0.0), empty=not count)

    def _hand_over(self, now: float) -> None:
        """Move what is left on workers that go to free slots of others, what lasts longest first."""
        if not self._policy.hands_over:
            return
        for worker in self._workers.draining:
            for number, until in sorted(worker.streams.items(), key=lambda stream: -stream[1]):
                to = self._workers.with_most_room(now)
                if to is None or until - now <= self._setup.may_finish_s:
                    break
                del worker.streams[number]
                self._generate(to, number, until + self._setup.hand_over_s)
            if not worker.streams:
                self._workers.remove(worker, now)

    def _on_killed(self, now: float, worker_number: int) -> None:
        """Its clients ask again, from the beginning."""
        worker = self._workers.get(worker_number)
        if worker is None:
            return
        self._cut += len(worker.streams)
        self._active -= len(worker.streams)
        self._queue.extend(_Waiting(number, now, was_cut=True) for number in worker.streams)
        self._workers.remove(worker, now)
        self._fill(now)

    def _outcome(self, end: float) -> Outcome:
        for worker in self._workers:
            self._workers.remove(worker, end)
        for waiting in self._queue:
            if not waiting.was_cut:
                self._refuse()
        waits = sorted(self._waits)
        return Outcome(
            *(round(percentile(waits, share), 3) for share in (0.50, 0.95, 0.99)),
            refused=self._refused,
            gpu_hours=round(self._workers.gpu_s / 3_600, 4),
            replica_changes=self._changes,
            streams_cut=self._cut,
        )


class _Means:
    """Time averages between a policy's looks."""

    def __init__(self, start: float) -> None:
        self._at = self._last_look = start
        self._active_s = self._queued_s = 0.0

    def advance(self, now: float, active: int, queued: int) -> None:
        elapsed = now - self._at
        self._active_s += active * elapsed
        self._queued_s += queued * elapsed
        self._at = now

    def since_last(self, now: float, active: int, queued: int) -> tuple[float, float]:
        """Streams that ran, and streams in flight; `active` and `queued` are told at once when no time has gone by."""
        elapsed = now - self._last_look
        means = (self._active_s / elapsed, self._queued_s / elapsed) if elapsed > 0 else (float(active), float(queued))
        self._last_look, self._active_s, self._queued_s = now, 0.0, 0.0
        return means[0], means[0] + means[1]
