"""How verdicts become the conditions of a status."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from tailrace_operator.conditions import Verdict, WorkloadView, merged, reasons

from .given import deployment, workload

BEFORE, NOW = "2026-11-22T08:00:00Z", datetime(2026, 11, 22, 20, 0, tzinfo=UTC)
SERVING = Verdict("True", reasons.SERVING, "1 of 1 workers serve")
STARTING = Verdict("False", reasons.WORKERS_STARTING, "no worker is ready yet")


def test_a_condition_has_all_that_kubernetes_wants_of_one() -> None:
    assert merged([], {"Ready": SERVING}, 4, NOW) == [
        {
            "type": "Ready",
            "status": "True",
            "reason": "Serving",
            "message": "1 of 1 workers serve",
            "lastTransitionTime": "2026-11-22T20:00:00Z",
            "observedGeneration": 4,
        }
    ]


@pytest.mark.parametrize(
    ("verdict", "since"),
    [
        (SERVING, BEFORE),
        (Verdict("True", reasons.SERVING, "2 of 2 workers serve"), BEFORE),
        (Verdict("True", reasons.COMPLETE, "another reason"), BEFORE),
        (STARTING, "2026-11-22T20:00:00Z"),
        (Verdict("Unknown", reasons.SERVING, "1 of 1 workers serve"), "2026-11-22T20:00:00Z"),
    ],
)
def test_the_time_of_transition_is_kept_while_the_status_is(verdict: Verdict, since: str) -> None:
    known = {"type": "Ready", "status": "True", "reason": "Serving", "message": "", "lastTransitionTime": BEFORE}
    (condition,) = merged([known], {"Ready": verdict}, 1, NOW)
    assert condition["lastTransitionTime"] == since


def test_each_type_keeps_its_own_time() -> None:
    known = [{"type": "Degraded", "status": "True", "lastTransitionTime": BEFORE}]
    times = [c["lastTransitionTime"] for c in merged(known, {"Ready": SERVING, "Degraded": SERVING}, 1, NOW)]
    assert times == ["2026-11-22T20:00:00Z", BEFORE]


def test_times_are_written_in_utc() -> None:
    elsewhere = NOW.astimezone(timezone(timedelta(hours=9)))
    assert merged([], {"Ready": SERVING}, 1, elsewhere)[0]["lastTransitionTime"] == "2026-11-22T20:00:00Z"


@pytest.mark.parametrize(("length", "kept"), [(1024, 1024), (1025, 1024)])
def test_a_message_is_bounded(length: int, kept: int) -> None:
    (condition,) = merged([], {"Ready": Verdict("True", reasons.SERVING, "x" * length)}, 1, NOW)
    assert len(condition["message"]) == kept
    assert condition["message"].endswith("…" if length > kept else "x")


@pytest.mark.parametrize(
    ("status", "rolled_out"),
    [
        ({}, True),
        ({"seen": 2}, False),
        ({"replicas": 2}, False),
        ({"updated": 0}, False),
        ({"ready": 0}, False),
    ],
)
def test_a_rollout_is_over_when_all_pods_are_new_and_ready_and_the_controller_has_seen_it(
    status: dict[str, int], rolled_out: bool
) -> None:
    assert workload(1, **status).rolled_out is rolled_out
    assert not workload(2, **status).rolled_out


def test_a_deployment_that_is_not_there_is_not_rolled_out_even_at_zero() -> None:
    assert not WorkloadView.of(0, None, []).rolled_out


@pytest.mark.parametrize(("replicas", "wanted"), [(3, 3), (0, 0)])
def test_where_the_spec_cannot_tell_what_is_wanted_the_deployment_does(replicas: int, wanted: int) -> None:
    assert WorkloadView.of(None, deployment(replicas), []).wanted == wanted
    assert WorkloadView.of(None, None, []).wanted == 0
