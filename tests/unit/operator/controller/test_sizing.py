"""From a model's spec and its pods to what the decision is given."""

from datetime import UTC, datetime
from typing import Any

import pytest
from tailrace_operator.conditions import Verdict, reasons
from tailrace_operator.controller.counts import Count, count_one
from tailrace_operator.controller.prospects import Prospects
from tailrace_operator.controller.sizing import Sizing, last_decision, policy_of
from tailrace_operator.controller.world import Key
from tailrace_operator.resources import StreamingModel
from tailrace_operator.scaling import Batch, Policy, State
from tailrace_protocol.reports import WorkerReport

from .objects import worker_pod

ECHO = Key("StreamingModel", "default", "echo")


def model(**scaling: Any) -> StreamingModel:
    document: dict[str, Any] = {
        "apiVersion": "tailrace.dev/v1alpha1",
        "kind": "StreamingModel",
        "metadata": {"name": "echo", "namespace": "default"},
        "spec": {"engine": {"simulated": {"maxStreams": 8}}, "scaling": scaling},
    }
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


def test_an_operator_that_starts_anew_goes_on_telling_why_the_size_is_so() -> None:
    told = {"replicas": 3, "reason": "22.0 streams in flight", "since": "2026-11-22T20:00:00Z"}
    found = {"status": {"scaling": told}}
    assert last_decision(found, 3) == ("22.0 streams in flight", datetime(2026, 11, 22, 20, 0, tzinfo=UTC))
    assert last_decision(found, 2)[0] == last_decision({}, 0)[0] == last_decision(None, 0)[0] == "as it was found"


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


def test_a_start_is_measured_once_a_worker_on_those_that_started_in_one_go() -> None:
    known = sizing()
    known.learn_starts([worker_pod("a", ready="20:00:20"), worker_pod("b", ready="20:00:40"), worker_pod("c")])
    assert known.start_s == 30.0
    known.learn_starts([worker_pod("a", ready="20:50:00"), worker_pod("b", ready="20:00:40")])
    assert known.start_s == 30.0, "readiness that came back after a node's absence is no start"
    known.learn_starts([])
    assert known.start_s == 30.0, "at zero it is remembered"
    known.learn_starts([worker_pod("d", ready="20:00:00")])
    assert known.start_s == 1.0


@pytest.mark.parametrize(
    "found",
    [worker_pod(), worker_pod(ready="20:00:20", restarts=1), worker_pod(ready="23:00:00")],
    ids=["not ready", "started again", "ready since long after it was made"],
)
def test_what_is_no_start_is_not_taken_for_one(found: Any) -> None:
    known = sizing()
    known.learn_starts([found])
    assert known.start_s == 60.0


def test_the_streams_of_a_worker_do_not_follow_each_noise() -> None:
    learned = sizing(latency_s=0.03)
    for streams in range(1, 31):
        learned.batches.append(Batch(streams, 0.01 + 0.005 * streams))
    assert learned.policy_within(None, "").target_streams == 4
    for streams in range(1, 601):
        learned.batches.append(Batch(streams % 30 + 1, 0.01 + 0.004 * (streams % 30 + 1)))
    assert learned.policy_within(None, "").target_streams == 4, "5 would be right: that is noise"
    for streams in range(1, 601):
        learned.batches.append(Batch(streams % 30 + 1, 0.01 + 0.0025 * (streams % 30 + 1)))
    assert learned.policy_within(None, "").target_streams == 8


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
        ([b'{"state":{"messages":5,"last_seq":7}}', b'{"error":{"code":503}}'], None),
        ([TimeoutError()], None),
        ([b'{"state":{"messages":5,"last_seq":7}}', TimeoutError()], None),
        ([b"no json"], None),
    ],
)
async def test_what_cannot_be_counted_is_not_zero(answers: list[Any], counted: Count | None) -> None:
    client: Any = Client(*answers)
    assert await count_one(client, ECHO) == counted
