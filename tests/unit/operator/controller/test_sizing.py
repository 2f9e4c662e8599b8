"""From a model's spec and its pods to what the decision is given."""

from datetime import UTC, datetime
from typing import Any

import pytest
from tailrace_operator.conditions import Verdict, reasons
from tailrace_operator.controller.counts import Count, count_one
from tailrace_operator.controller.prospects import Prospects
from tailrace_operator.controller.shortage import Shortage
from tailrace_operator.controller.sizing import Sizing, policy_of, start_s
from tailrace_operator.controller.world import Key, World
from tailrace_operator.resources import StreamingModel
from tailrace_operator.scaling import Policy, State
from tailrace_protocol.reports import WorkerReport

from .objects import MANAGED

ECHO = Key("StreamingModel", "default", "echo")


def model(name: str = "echo", gpus: bool = False, **scaling: Any) -> StreamingModel:
    document: dict[str, Any] = {
        "apiVersion": "tailrace.dev/v1alpha1",
        "kind": "StreamingModel",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"engine": {"simulated": {"maxStreams": 8}}, "scaling": scaling},
    }
    if gpus:
        document["spec"]["resources"] = {"gpu": {"count": 1}}
    return StreamingModel.parse(document)


def sizing(size: int = 0, **fields: Any) -> Sizing:
    return Sizing(State.at_start(0.0, size), Policy(slots=8), size, "as found", datetime.now(UTC), **fields)


def test_the_spec_becomes_the_policy() -> None:
    spec = model(
        minReplicas=1,
        maxReplicas=7,
        targetUtilization=60,
        tolerance=10,
        zeroGracePeriod="90s",
        scaleDownDelay="5m",
        scaleUp={"percent": 100, "period": "30s"},
        schedule=[{"start": "0 8 * * MON-FRI", "end": "0 18 * * *", "timeZone": "Europe/Berlin", "minReplicas": 3}],
    ).spec
    assert spec.auto is not None
    policy = policy_of(spec, spec.auto)
    assert (policy.slots, policy.min_workers, policy.max_workers, policy.utilization) == (8, 1, 7, 0.6)
    assert (policy.tolerance, policy.zero_grace_s, policy.scale_down_delay_s) == (0.1, 90.0, 300.0)
    assert (str(policy.up), policy.down) == ("100 % in 30 s", None)
    assert policy.schedule[0].min_workers == 3


def test_external_and_no_scaling_leave_the_size_to_others() -> None:
    assert model(mode="External").spec.auto is None
    plain = model().model_copy(update={"spec": model().spec.model_copy(update={"scaling": None, "replicas": 4})})
    assert (plain.spec.auto, plain.spec.most_workers) == (None, 4)
    assert model(maxReplicas=6).spec.most_workers == 6


def test_workers_that_retire_serve_nobody_new() -> None:
    kept = sizing(3, retiring={"a"})
    sample = kept.sample(10.0, Count(accepted=9, active=4, queued=2), ready=4)
    assert (sample.ready, sample.starting, sample.in_flight, sample.accepted) == (3, 0, 6, 9)
    assert sizing(3).sample(10.0, Count(9, 4, 2), ready=1).starting == 2


def test_what_engines_show_bounds_the_streams_of_a_worker() -> None:
    learned = sizing(latency_s=0.03)
    for streams in range(1, 31):
        report = WorkerReport("w", "default", "echo", "ready", 64, streams, inter_token_s=0.01 + 0.005 * streams)
        learned.learn([report, WorkerReport("l", "default", "echo", "loading"), WorkerReport("i", "d", "e", "ready")])
    assert len(learned.batches) == 30
    assert learned.policy_within(None, "").target_streams == 4
    assert sizing().policy_within(2, "why").ceiling == 2


def pod(ready: str | None = None, placed: str = "True", restarts: int = 0, name: str = "p", owner: str = "echo") -> Any:
    conditions: list[dict[str, str]] = [{"type": "PodScheduled", "status": placed}]
    if placed == "False":
        conditions[0] |= {"reason": "Unschedulable", "message": "0/2 nodes: Insufficient nvidia.com/gpu"}
    if ready:
        conditions.append({"type": "Ready", "status": "True", "lastTransitionTime": ready})
    labels = {**MANAGED, "tailrace.dev/model": owner}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "default",
            "uid": name,
            "creationTimestamp": "2026-11-22T20:00:00Z",
            "labels": labels,
        },
        "status": {"conditions": conditions, "containerStatuses": [{"name": "worker", "restartCount": restarts}]},
    }


def test_a_start_is_measured_on_pods_that_started_once() -> None:
    pods = [pod("2026-11-22T20:00:20Z"), pod("2026-11-22T20:00:40Z"), pod("2026-11-22T20:01:30Z")]
    assert start_s(pods, 60.0) == 40.0
    assert start_s([pod(), pod("2026-11-23T20:00:00Z", restarts=1)], 60.0) == 60.0
    assert start_s([pod("2026-11-22T20:00:00Z")], 60.0) == 1.0


def shortage(*pods: Any) -> Shortage:
    world = World()
    for one in pods:
        world.put(one)
    return Shortage(world)


def test_while_no_node_takes_a_worker_no_more_are_asked_for() -> None:
    found = shortage(pod(placed="False"))
    known = sizing(2)
    found.look({ECHO: known}, 0.0)
    ceiling, why = found.ceiling(ECHO, known)
    assert ceiling == 2
    assert "Insufficient nvidia.com/gpu" in why
    placed = shortage(pod())
    placed.look({ECHO: known}, 0.0)
    assert placed.ceiling(ECHO, known) == (None, "")


def test_a_rich_model_gives_one_worker_at_a_time_for_as_long_as_another_is_short() -> None:
    rich = Key("StreamingModel", "default", "rich")
    world = World()
    found = Shortage(world)
    found.learn(ECHO, model(gpus=True, minReplicas=1))
    found.learn(rich, model("rich", gpus=True))
    world.put(pod(placed="False"))
    for number in range(3):
        world.put(pod(name=f"r{number}", owner="rich"))
    sizings = {ECHO: sizing(1), rich: sizing(3, needed=0)}
    found.look(sizings, 0.0)
    assert found.ceiling(rich, sizings[rich]) == (2, "a worker goes to default/echo, which is below its minimum")
    sizings[rich] = sizing(2, needed=0)
    found.look(sizings, 10.0)
    assert found.ceiling(rich, sizings[rich])[0] == 2, "the first has to go before another is asked for"
    found.look(sizings, 40.0)
    assert found.ceiling(rich, sizings[rich])[0] == 1
    world.put(pod())
    found.look(sizings, 50.0)
    assert found.ceiling(rich, sizings[rich]) == (None, "")


def test_waiting_clients_are_told_why_and_after_a_while_that_there_is_no_hope() -> None:
    news: list[bool] = []
    prospects = Prospects(lambda: news.append(True))
    prospects.asked(ECHO)
    prospects.refuse_after_s[ECHO] = 3_600.0
    prospects.judged(ECHO, Verdict("False", reasons.NO_GPU_FREE, "no node has 1 free GPU"))
    report = prospects.report(ECHO, 0.0)
    assert report is not None
    assert (report.state, report.detail, report.hopeless) == ("NoGPUFree", "no node has 1 free GPU", False)
    prospects.refuse_after_s[ECHO] = 0.0
    later = prospects.report(ECHO, 1e12)
    assert later is not None
    assert later.hopeless
    prospects.judged(ECHO, Verdict("False", reasons.WORKERS_STARTING, "loading weights"))
    loading = prospects.report(ECHO, 1e12)
    assert loading is not None
    assert not loading.hopeless, "what is under way is waited for"
    prospects.judged(ECHO, Verdict("False", reasons.WORKERS_STARTING, "loading weights"))
    assert len(news) == 2, "the same again is no news"
    prospects.judged(ECHO, Verdict("True", reasons.SERVING, "1 of 1"))
    assert prospects.report(ECHO, 1e12) is None


class Client:
    """A broker with these answers, in turn."""

    def __init__(self, *answers: bytes | Exception) -> None:
        self.answers = list(answers)

    async def request(self, subject: str, timeout: float) -> Any:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return type("Message", (), {"data": answer})


@pytest.mark.parametrize(
    ("answers", "counted"),
    [
        ([b'{"state":{"messages":0,"last_seq":7}}'], Count(7, 0, 0)),
        ([b'{"state":{"messages":5,"last_seq":7}}', b'{"num_ack_pending":3,"num_pending":2}'], Count(7, 3, 2)),
        ([b'{"state":{"messages":1,"last_seq":7}}', b'{"num_ack_pending":3}'], Count(7, 1, 0)),
        ([b'{"error":{"code":404}}'], None),
        ([TimeoutError()], None),
        ([b'{"state":{"messages":5,"last_seq":7}}', TimeoutError()], None),
        ([b"no json"], None),
    ],
)
async def test_what_cannot_be_counted_is_not_zero(answers: list[Any], counted: Count | None) -> None:
    client: Any = Client(*answers)
    assert await count_one(client, ECHO) == counted
