"""Who lacks nodes, who gives, and when giving is in vain."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from tailrace_operator.controller.counts import Count
from tailrace_operator.controller.shortage import Shortage
from tailrace_operator.controller.sizing import Sizing
from tailrace_operator.controller.world import Key, World
from tailrace_operator.plan import Ref
from tailrace_operator.resources import StreamingModel
from tailrace_operator.scaling import Policy, Scheduled, State

from .objects import child, worker_pod

ECHO, RICH = Key("StreamingModel", "default", "echo"), Key("StreamingModel", "default", "rich")
GOES = "a worker goes to default/echo, which is below its minimum"


def model(name: str = "echo", **scaling: Any) -> StreamingModel:
    return StreamingModel.parse(
        {
            "apiVersion": "tailrace.dev/v1alpha1",
            "kind": "StreamingModel",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"engine": {"simulated": {}}, "scaling": scaling, "resources": {"gpu": {"count": 1}}},
        }
    )


def sizing(size: int, needed: int = 0, least: int = 0, **fields: Any) -> Sizing:
    policy = Policy(slots=8, min_workers=least)
    return Sizing(State.at_start(0.0, size), policy, size, "as found", datetime.now(UTC), needed=needed, **fields)


class Bench:
    """Echo, at least one worker, has none placed; rich has three that are idle."""

    def __init__(self) -> None:
        self.world = World()
        self.shortage = Shortage(self.world)
        self.shortage.learn(ECHO, model(minReplicas=1))
        self.shortage.learn(RICH, model("rich"))
        self.sizings = {ECHO: sizing(1, least=1), RICH: sizing(3)}
        self.world.put(worker_pod(placed="False"))
        for number in range(3):
            self.world.put(worker_pod(f"r{number}", "rich"))

    def look(self, now: float, **rich: Any) -> tuple[int | None, str]:
        """What rich may have after a look."""
        if rich:
            self.sizings[RICH] = sizing(**rich)
        self.shortage.look(self.sizings, now)
        return self.shortage.ceiling(RICH, self.sizings[RICH])


def test_while_no_node_takes_a_worker_no_more_are_asked_for() -> None:
    bench = Bench()
    bench.look(0.0)
    ceiling, why = bench.shortage.ceiling(ECHO, bench.sizings[ECHO])
    assert ceiling == 1
    assert "no node takes one: 0/2 nodes: Insufficient nvidia.com/gpu" in why
    bench.world.put(worker_pod())
    bench.look(1.0)
    assert bench.shortage.ceiling(ECHO, bench.sizings[ECHO]) == (None, "")


def test_while_the_api_server_lets_no_worker_in_no_more_are_asked_for_and_nobody_gives() -> None:
    bench = Bench()
    bench.world.drop(Ref("v1", "Pod", "default", "p"))
    failure = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: few"}
    bench.world.put(child(status={"conditions": [failure]}))
    assert bench.look(0.0) == (None, "")
    assert bench.shortage.ceiling(ECHO, sizing(4)) == (
        4,
        "no more than 4 are asked for, since none may be made: exceeded quota: few",
    )


def test_a_rich_model_gives_one_worker_at_a_time_until_the_other_has_its_node() -> None:
    bench = Bench()
    assert bench.look(0.0) == (2, GOES)
    assert bench.look(10.0, size=2) == (2, GOES), "the first has to go before another is asked for"
    assert bench.look(40.0) == (1, GOES)
    bench.world.put(worker_pod())
    assert bench.look(50.0) == (None, "")


def test_a_worker_that_is_needed_again_is_not_kept_from_its_model() -> None:
    bench = Bench()
    bench.look(0.0)
    bench.look(40.0, size=2)
    assert bench.look(41.0, size=1, needed=0, count=Count(9, 0, 0)) == (1, GOES)
    assert bench.look(41.5, size=0, needed=0, count=Count(10, 0, 1))[0] == 1, "the first request at zero"
    assert bench.look(42.0, size=1, needed=5)[0] == 5


def test_giving_in_vain_ends_and_is_not_tried_again_soon() -> None:
    """Echo asks for a node that there is not, whatever others give."""
    bench, size = Bench(), 3
    seen: list[int | None] = []
    for second in range(3_600):
        ceiling, _ = bench.look(float(second), size=size)
        seen.append(ceiling)
        size = min(size, ceiling) if ceiling is not None else 3
    assert seen[0] == 2
    assert seen[119] == 0
    assert set(seen[125:1_900]) == {None}, "rich has what it wants"
    assert {0, 1, 2} & set(seen[1_930:2_040]), "later things may have changed"


def test_a_gift_belongs_to_whom_it_was_given_for() -> None:
    """Somebody else who is short, and cannot be helped, does not pin rich."""
    bench = Bench()
    third = Key("StreamingModel", "default", "third")
    bench.shortage.learn(third, model("third"))
    bench.sizings[third] = sizing(2)
    bench.world.put(worker_pod("t", "third", placed="False"))
    assert bench.look(0.0) == (2, GOES)
    bench.world.put(worker_pod())
    assert bench.look(1.0) == (None, "")


@pytest.mark.parametrize(
    "dead",
    [
        worker_pod("dead", status={"phase": "Failed"}),
        worker_pod("dead", metadata={"deletionTimestamp": "2026-11-22T20:00:00Z"}),
        child("dead", "Pod", status={"conditions": [{"type": "PodScheduled", "status": "True"}]}),
    ],
    ids=["evicted", "terminating", "a download"],
)
def test_only_workers_that_count_are_taken_for_placed(dead: Mapping[str, Any]) -> None:
    bench = Bench()
    bench.world.put(dead)
    assert bench.look(0.0) == (2, GOES)


def test_a_scheduled_minimum_is_a_minimum() -> None:
    bench = Bench()
    always = Scheduled("0 0 1 1 *", "0 0 31 12 *", "UTC", 3)
    now = 1_790_000_000.0
    bench.sizings[RICH].policy = Policy(slots=8, schedule=(always,))
    assert bench.look(now) == (None, "")


def test_what_is_gone_is_forgotten() -> None:
    bench = Bench()
    bench.look(0.0)
    for key in (ECHO, RICH):
        bench.shortage.forget(key)
        del bench.sizings[key]
    bench.shortage.look(bench.sizings, 1.0)
    assert bench.shortage.ceiling(RICH, sizing(3)) == (None, "")
