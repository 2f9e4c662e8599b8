"""The way down: who is emptied, who is taken away, who comes back."""

from datetime import UTC, datetime
from typing import Any

from tailrace_operator.controller.deletion_cost import ANNOTATION, GOES_FIRST
from tailrace_operator.controller.retiring import Retiring
from tailrace_operator.controller.sizing import Sizing
from tailrace_operator.controller.world import Key, World
from tailrace_operator.plan import Ref
from tailrace_operator.scaling import Policy, State
from tailrace_protocol.reports import WorkerReport

from .fake_api import FakeApi
from .objects import child, worker_pod

ECHO = Key("StreamingModel", "default", "echo")


class Bench:
    """A model that had `workers` workers, of which it is to have fewer now."""

    def __init__(self, workers: int, size: int) -> None:
        self.sizing = Sizing(State.at_start(0.0, size), Policy(slots=8), workers, "", datetime.now(UTC))
        self.world, self.reports, self.said = World(), dict[str, WorkerReport](), dict[str, float]()
        pods = [worker_pod(f"p{number}", ready="20:00:20") for number in range(workers)]
        self.api = FakeApi(*pods)
        self.retiring = Retiring(self.api, self.world, self)  # type: ignore[arg-type]
        self.now = 0.0
        self.settle(workers)
        for number in range(workers):
            self.report(f"p{number}", number)

    def of(self, key: Key) -> list[WorkerReport]:
        return list(self.reports.values())

    async def publish(self, subject: str, payload: bytes) -> None:
        self.said[subject.rpartition(".")[2]] = float(payload.partition(b'"lease_s":')[2].rstrip(b"}") or 0)

    def report(self, pod: str, streams: int, state: Any = "ready") -> None:
        self.reports[pod] = WorkerReport(f"w-{pod}", "default", "echo", state, 8, streams, pod=pod)

    def settle(self, wanted: int, **status: Any) -> None:
        """What the Deployment's controller says when it has done what was asked."""
        told = {"replicas": wanted, "updatedReplicas": wanted, "observedGeneration": 1} | status
        self.world.put(child(metadata={"generation": 1}, spec={"replicas": wanted}, status=told))

    async def round(self, *, later_s: float = 1.0, **status: Any) -> dict[str, float]:
        """One round, after which the Deployment may be as it was asked for; what was said in it to whom."""
        self.said.clear()
        self.now += later_s
        for ref, known in self.api.objects.items():
            if ref.kind == "Pod":
                self.world.put(known)
        for ref in {Ref.of(pod) for pod in self.world.pods(ECHO)} - set(self.api.objects):
            self.world.drop(ref)
        client: Any = self
        await self.retiring.advance(client, ECHO, self.sizing, self.now)
        self.settle(self.sizing.replicas, **status)
        return dict(self.said)

    @property
    def first(self) -> set[str]:
        """The pods that were said to go first."""
        return self.api.annotated(ANNOTATION, GOES_FIRST)

    def remove(self, pod: str) -> None:
        del self.api.objects[Ref("v1", "Pod", "default", pod)]
        self.reports.pop(pod, None)


async def test_a_worker_is_emptied_before_it_is_taken_away() -> None:
    bench = Bench(3, 2)
    bench.report("p0", 3)
    assert await bench.round() == {"w-p1": 4.0}, "the fewest streams, by a lease"
    assert (bench.sizing.replicas, bench.first) == (3, set())
    bench.report("p1", 0, "draining")
    await bench.round()
    assert (bench.sizing.replicas, bench.first) == (2, {"p1"})
    bench.remove("p1")
    assert await bench.round() == {}
    assert (bench.sizing.replicas, bench.sizing.going, bench.sizing.retiring) == (2, {}, set())


async def test_those_with_streams_go_one_after_the_other() -> None:
    bench = Bench(4, 1)
    assert set(await bench.round()) == {"w-p0", "w-p1"}, "p0 has none"
    bench.report("p1", 0, "draining")
    bench.report("p0", 0, "draining")
    assert "w-p2" in await bench.round()
    assert bench.first == {"p0", "p1"}


async def test_who_is_wanted_again_is_told_so_at_once_and_serves() -> None:
    bench = Bench(2, 1)
    await bench.round()
    bench.sizing.state = State.at_start(0.0, 2)
    assert await bench.round() == {"w-p0": 0.0}
    assert await bench.round() == {}
    assert bench.sizing.replicas == 2


async def test_who_was_empty_already_and_is_wanted_again_serves_at_once() -> None:
    """Its pod is still there: the Deployment's controller has not acted yet, and will not any more."""
    bench = Bench(1, 0)
    bench.report("p0", 0, "draining")
    await bench.round()
    assert (bench.first, bench.sizing.replicas) == ({"p0"}, 0)
    bench.sizing.state = State.at_start(0.0, 1)
    assert await bench.round() == {"w-p0": 0.0}
    assert (bench.first, bench.sizing.replicas, bench.sizing.going) == (set(), 1, {})
    assert await bench.round() == {}, "nothing renews its lease"


async def test_another_pod_that_went_in_its_place_leaves_it_to_serve() -> None:
    bench = Bench(3, 2)
    bench.report("p0", 0, "draining")
    await bench.round()
    bench.remove("p2")
    await bench.round(later_s=16.0)
    assert (bench.first, bench.sizing.going) == (set(), {})


async def test_what_an_operator_before_this_one_chose_does_not_go_first_for_ever() -> None:
    bench = Bench(2, 2)
    await bench.api.apply(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "p1", "namespace": "default", "annotations": {ANNOTATION: GOES_FIRST}},
        }
    )
    await bench.round()
    assert bench.first == set()
    bench.api.asked.clear()
    await bench.round()
    assert bench.api.written == []


async def test_nobody_is_chosen_while_one_that_serves_is_not_heard() -> None:
    """It may just be slow to speak, and the one that can be heard may be the only one that works."""
    bench = Bench(2, 1)
    del bench.reports["p1"]
    assert await bench.round() == {}
    assert await bench.round(later_s=25.0) == {}
    bench.report("p1", 4)
    assert await bench.round() == {"w-p0": 4.0}


async def test_one_that_has_lost_the_broker_goes_before_all_that_work() -> None:
    bench = Bench(2, 1)
    del bench.reports["p1"]
    await bench.round()
    await bench.round(later_s=31.0)
    assert (bench.first, bench.sizing.replicas) == ({"p1"}, 1)


async def test_a_rollout_decides_by_itself_who_goes() -> None:
    bench = Bench(3, 2)
    bench.settle(3, updatedReplicas=1, replicas=4)
    assert await bench.round() == {}
    assert bench.sizing.replicas == 3


async def test_a_rollout_that_is_stuck_keeps_no_idle_worker() -> None:
    bench = Bench(2, 1)
    surge = worker_pod("surge")
    bench.api._store(Ref.of(surge), surge)
    stuck = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
    bench.settle(2, updatedReplicas=1, replicas=3, conditions=[stuck])
    assert await bench.round(updatedReplicas=1, replicas=3, conditions=[stuck]) == {"w-p0": 4.0}
    assert bench.sizing.replicas == 2, "the pod that never serves is none of the two"
    bench.report("p0", 0, "draining")
    await bench.round()
    assert (bench.first, bench.sizing.replicas) == ({"p0"}, 1)


async def test_workers_that_do_not_serve_yet_go_before_all_others() -> None:
    bench = Bench(3, 1)
    starting = worker_pod("p2")
    bench.api.objects[Ref.of(starting)] = starting
    del bench.reports["p2"]
    assert await bench.round() == {"w-p0": 4.0}
    assert bench.sizing.replicas == 2
