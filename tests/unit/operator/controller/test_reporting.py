"""The status is written when it differs, and each transition is told once."""

from datetime import UTC, datetime
from typing import Any

import pytest
from tailrace_operator.apply.kubernetes import RefusedError, UnreachableError
from tailrace_operator.conditions import Reason, Verdict, reasons
from tailrace_operator.controller.journal import Journal
from tailrace_operator.controller.metrics import Metrics
from tailrace_operator.controller.reporting import Reporter
from tailrace_operator.controller.world import Key, World
from tailrace_operator.plan import Ref

from .fake_api import FakeApi
from .objects import resource

MODEL, ECHO = Ref.of(resource()), Key("StreamingModel", "default", "echo")
FINE = {
    "Ready": Verdict("True", reasons.SERVING, "1 of 1 workers serve"),
    "Progressing": Verdict("False", reasons.COMPLETE, "all is as the resource asks"),
    "Degraded": Verdict("False", reasons.AS_WANTED, "nothing is wrong"),
}
BROKEN = FINE | {
    "Progressing": Verdict("True", reasons.IMAGE_PULL_FAILED, "pod x cannot pull y"),
    "Degraded": Verdict("True", reasons.IMAGE_PULL_FAILED, "pod x cannot pull y"),
}
FIELDS = {"replicas": 1, "readyReplicas": 1, "streams": None}


class Bench:
    def __init__(self, *present: dict[str, Any]) -> None:
        self.api, self.world, self.metrics = FakeApi(*(present or [resource()])), World(), Metrics()
        self.now = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)
        journal = Journal(self.api, "operator-0", lambda: self.now)
        self.reporter = Reporter(self.api, self.world, journal, self.metrics, lambda: self.now)

    async def report(self, verdicts: dict[str, Verdict], fields: dict[str, Any] = FIELDS) -> list[str]:
        """What was written."""
        self.api.asked.clear()
        await self.reporter.report(self.api.objects.get(MODEL) or resource(), fields, verdicts)
        return self.api.written

    @property
    def status(self) -> dict[str, Any]:
        return self.api.objects[MODEL]["status"]

    @property
    def told(self) -> list[str]:
        return [f"{event['type']} {event['reason']}: {event['message']}" for event in self.api.events]


async def test_a_first_report_is_written_whole() -> None:
    bench = Bench()
    assert await bench.report(FINE) == ["apply status StreamingModel echo"]
    assert bench.status.keys() == {"replicas", "readyReplicas", "observedGeneration", "conditions"}
    assert [condition["type"] for condition in bench.status["conditions"]] == ["Ready", "Progressing", "Degraded"]
    assert bench.world.resource(ECHO)["status"] == bench.status, "it is known at once"


async def test_when_nothing_changed_nothing_is_written_however_late_it_is() -> None:
    bench = Bench()
    await bench.report(FINE)
    bench.now = datetime(2027, 1, 1, tzinfo=UTC)
    assert await bench.report(FINE) == []


async def test_conditions_in_another_order_are_the_same() -> None:
    bench = Bench()
    await bench.report(FINE)
    bench.status["conditions"].reverse()
    assert await bench.report(FINE) == []


async def test_a_condition_that_somebody_else_added_is_left_to_them() -> None:
    bench = Bench()
    await bench.report(FINE)
    bench.status["conditions"].append({"type": "example.com/Audited", "status": "True"})
    assert await bench.report(FINE) == []


@pytest.mark.parametrize("fields", [{"replicas": 2}, {"replicas": 1, "streams": 3}, {"readyReplicas": None}])
async def test_a_changed_number_is_written_and_no_event(fields: dict[str, Any]) -> None:
    bench = Bench()
    await bench.report(FINE)
    assert await bench.report(FINE, FIELDS | fields) == ["apply status StreamingModel echo"]


async def test_a_number_that_is_not_known_any_more_is_given_up() -> None:
    bench = Bench()
    await bench.report(FINE, FIELDS | {"streams": 3})
    assert await bench.report(FINE) == ["apply status StreamingModel echo"]


async def test_what_others_wrote_into_a_field_of_ours_is_removed_once() -> None:
    bench = Bench()
    await bench.report(FINE)
    bench.status["streams"] = 99
    bench.api.theirs = {"streams"}
    assert await bench.report(FINE) == ["apply status StreamingModel echo", "drop status StreamingModel echo"]
    assert "streams" not in bench.status
    assert await bench.report(FINE) == []


async def test_a_new_generation_is_observed() -> None:
    bench = Bench()
    await bench.report(FINE)
    bench.api.objects[MODEL]["metadata"]["generation"] = 2
    assert await bench.report(FINE) == ["apply status StreamingModel echo"]
    assert bench.status["observedGeneration"] == 2
    assert {condition["observedGeneration"] for condition in bench.status["conditions"]} == {2}


async def test_a_transition_is_one_write_and_one_event_for_each_condition_that_changed() -> None:
    bench = Bench()
    await bench.report(FINE)
    bench.api.objects = {MODEL: bench.api.objects[MODEL]}
    assert await bench.report(BROKEN) == ["apply status StreamingModel echo", "create Event", "create Event"]
    assert sorted(bench.told) == [
        "Normal ImagePullFailed: Progressing is True: pod x cannot pull y",
        "Warning ImagePullFailed: Degraded is True: pod x cannot pull y",
    ]
    assert await bench.report(BROKEN) == []


async def test_another_message_alone_is_no_event() -> None:
    bench = Bench()
    await bench.report(FINE)
    more = FINE | {"Ready": Verdict("True", reasons.SERVING, "2 of 2 workers serve")}
    assert await bench.report(more) == ["apply status StreamingModel echo"]


@pytest.mark.parametrize(
    ("kind", "status", "reason", "severity"),
    [
        ("Ready", "True", reasons.SERVING, "Normal"),
        ("Ready", "False", reasons.WORKERS_STARTING, "Normal"),
        ("Ready", "False", reasons.NO_WORKERS, "Normal"),
        ("Ready", "False", reasons.DOWNLOADING, "Normal"),
        ("Ready", "False", reasons.CONFLICT, "Warning"),
        ("Ready", "False", reasons.NO_GPU_FREE, "Warning"),
        ("Progressing", "False", reasons.STALLED, "Warning"),
        ("Progressing", "False", reasons.INVALID_SPEC, "Warning"),
        ("Progressing", "True", reasons.ROLLING_OUT, "Normal"),
        ("Progressing", "True", reasons.CRASHED, "Normal"),
        ("Degraded", "True", reasons.CRASHED, "Warning"),
    ],
)
async def test_an_event_warns_when_somebody_must_act(kind: str, status: Any, reason: Reason, severity: str) -> None:
    bench = Bench()
    await bench.report({kind: Verdict("Unknown", reasons.SERVING, "before")})
    await bench.report({kind: Verdict(status, reason, "words")})
    assert bench.told[-1] == f"{severity} {reason}: {kind} is {status}: words"


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("Ready", reasons.WORKERS_STARTING),
        ("Progressing", reasons.COMPLETE),
        ("Progressing", reasons.PAUSED),
        ("Degraded", reasons.AS_WANTED),
    ],
)
async def test_of_a_new_resource_it_is_not_told_what_is_not_wrong(kind: str, reason: Reason) -> None:
    bench = Bench()
    await bench.report({kind: Verdict("False", reason, "words")})
    assert bench.told == []


async def test_an_event_is_about_the_resource_as_it_was_seen() -> None:
    bench = Bench()
    await bench.report({"Ready": Verdict("False", reasons.CONFLICT, "x" * 2000)})
    (event,) = bench.api.events
    assert event["involvedObject"] == {
        "apiVersion": "tailrace.dev/v1alpha1",
        "kind": "StreamingModel",
        "name": "echo",
        "namespace": "default",
        "uid": "uid-echo",
        "resourceVersion": "100",
    }
    assert event["metadata"]["namespace"] == "default"
    assert event["firstTimestamp"] == event["lastTimestamp"] == "2026-11-22T20:00:00Z"
    assert len(event["message"]) <= 1024
    assert (event["reportingComponent"], event["reportingInstance"]) == ("tailrace-operator", "operator-0")


@pytest.mark.parametrize("error", [RefusedError("quota"), UnreachableError("no answer")])
async def test_an_event_that_cannot_be_posted_stops_nothing(error: Exception) -> None:
    bench = Bench()
    bench.api.refuse("create", "Event", error)
    await bench.report(FINE)
    assert bench.status["replicas"] == 1


async def test_a_resource_that_is_gone_meanwhile_is_no_failure_and_no_news() -> None:
    bench = Bench()
    bench.api.objects.clear()
    await bench.report(FINE)
    assert bench.told == []


async def test_a_status_that_cannot_be_written_is_tried_again_and_told_then() -> None:
    bench = Bench()
    bench.api.refuse("apply status", MODEL, UnreachableError("no answer"))
    with pytest.raises(UnreachableError):
        await bench.report(BROKEN)
    assert bench.told == []
    bench.api.allow("apply status", MODEL)
    await bench.report(BROKEN)
    assert bench.told


def values(bench: Bench) -> dict[str, float]:
    return {sample.labels["condition"]: sample.value for sample in bench.metrics.conditions.collect()[0].samples}


async def test_conditions_are_measured_at_every_look_and_forgotten_with_the_resource() -> None:
    bench = Bench()
    await bench.report(FINE)
    assert values(bench) == {"Ready": 1, "Progressing": 0, "Degraded": 0}
    await bench.report(FINE | {"Ready": Verdict("Unknown", reasons.SERVING, "x"), "Degraded": BROKEN["Degraded"]})
    assert values(bench) == {"Ready": -1, "Progressing": 0, "Degraded": 1}
    bench.reporter.forget("StreamingModel", "default", "echo")
    bench.reporter.forget("StreamingModel", "default", "never-seen")
    assert values(bench) == {}
