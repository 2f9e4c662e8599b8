"""How far a download is, and what is wrong with it."""

from datetime import UTC, datetime
from typing import Any

import pytest
from tailrace_operator.conditions import FetchView, Finding, PodView, reasons
from tailrace_operator.controller import fetching
from tailrace_protocol.fetch import FetchReport

from .objects import child

JOB = child("echo-fetch-1a2b", "Job", spec={})
DOWNLOADING = FetchReport(
    "default", "echo", "downloading", bytes_done=400_000_000, bytes_total=1_000_000_000, files_total=3
)
RESOLVING = FetchReport("default", "echo", "resolving", message="asking the hub")
REFUSED = "token_refused: correct Secret hf-token"


def job(*ended: str, **counts: int) -> dict[str, Any]:
    """The Job as the API server gives it; a running one has no conditions."""
    conditions = [{"type": kind, "status": "True"} for kind in ended]
    return JOB | {"status": {"active": 0 if ended else 1, **counts} | ({"conditions": conditions} if ended else {})}


def pod(name: str, state: dict[str, Any], last: str = "", *, ready: bool = False, phase: str = "Running") -> PodView:
    container = {"name": "fetch", "restartCount": 2 if last else 0, "state": state}
    container["lastState"] = {"terminated": {"exitCode": 1, "reason": "Error", "message": last}} if last else {}
    ready_condition = {"type": "Ready", "status": str(ready), "lastTransitionTime": "2026-11-22T20:00:00Z"}
    status = {"phase": phase, "conditions": [ready_condition], "containerStatuses": [container]}
    described = {"name": name, "creationTimestamp": f"2026-11-22T20:00:0{len(name)}Z"}
    return PodView.of({"metadata": described, "status": status}, datetime(2026, 11, 22, 20, 10, tzinfo=UTC))


#: A container without a readiness probe is ready as soon as it runs.
RUNS = pod("a", {"running": {"startedAt": "2026-11-22T20:00:00Z"}}, ready=True)
TRIES_AGAIN = pod("a", {"running": {"startedAt": "2026-11-22T20:09:00Z"}}, REFUSED, ready=True)
BACKS_OFF = pod("a", {"waiting": {"reason": "CrashLoopBackOff"}}, REFUSED)
GAVE_UP = pod("a", {"terminated": {"exitCode": 1, "message": "disk_full: 40 GB are needed"}}, phase="Failed")


def view(observed: list[dict[str, Any]], *pods: PodView, said: FetchReport | None = None) -> FetchView:
    return fetching.view(observed, JOB, pods, said)


@pytest.mark.parametrize(
    ("observed", "state"),
    [
        ([], "missing"),
        (
            [child("echo-fetch-other", "Job", status={"conditions": [{"type": "Complete", "status": "True"}]})],
            "missing",
        ),
        ([child("echo-fetch-1a2b", "ConfigMap")], "missing"),
        ([JOB], "running"),
        ([job()], "running"),
        ([job(failed=7)], "running"),
        ([job("SuccessCriteriaMet")], "running"),
        ([job("SuccessCriteriaMet", "Complete")], "done"),
        ([job("FailureTarget")], "running"),
        ([job("FailureTarget", "Failed")], "failed"),
    ],
)
def test_a_job_is_over_when_it_says_so_itself(observed: list[dict[str, Any]], state: str) -> None:
    assert fetching.state(observed, JOB) == state


def test_a_condition_that_does_not_hold_counts_for_nothing() -> None:
    told = JOB | {"status": {"conditions": [{"type": "Complete", "status": "False"}]}}
    assert fetching.state([told], JOB) == "running"


def test_a_running_download_tells_how_far_it_is() -> None:
    assert view([job()], RUNS) == FetchView("running", "the model is being downloaded")
    assert view([job()], RUNS, said=DOWNLOADING).message == "downloading: 40 % (0.4 of 1.0 GB, 0 of 3 files)"
    assert view([], said=RESOLVING).message == "asking the hub"


def test_a_download_that_is_done_has_no_trouble_whatever_happened_before() -> None:
    assert view([job("Complete")], GAVE_UP, BACKS_OFF) == FetchView("done")


def test_a_failure_is_told_while_it_is_waited_and_while_it_is_tried_again() -> None:
    for stuck in (BACKS_OFF, TRIES_AGAIN):
        found = view([job()], stuck, said=RESOLVING).trouble
        assert found is not None
        assert found.reason is reasons.TOKEN_REFUSED
        assert "correct Secret hf-token" in found.message


@pytest.mark.parametrize("state", ["downloading", "verifying"])
def test_a_try_that_got_through_ends_the_complaint(state: Any) -> None:
    said = FetchReport("default", "echo", state)
    assert view([job()], TRIES_AGAIN, said=said).trouble is None
    assert view([job()], BACKS_OFF, said=said).trouble is not None, "it failed again since it said so"


def test_the_newest_pods_words_count() -> None:
    newer = pod("bb", {"terminated": {"exitCode": 1, "message": REFUSED}}, phase="Failed")
    found = view([job()], GAVE_UP, newer).trouble
    assert found is not None
    assert found.reason is reasons.TOKEN_REFUSED


def test_a_pod_that_is_not_let_in_is_told_in_the_api_servers_words() -> None:
    found = fetching.view(
        [job()], JOB, (), None, refused='Error creating: pods "x" is forbidden: exceeded quota'
    ).trouble
    assert found is not None
    assert found.reason is reasons.PODS_REFUSED
    assert found.message.startswith("no pod is let in for Job echo-fetch-1a2b: Error creating: pods")


@pytest.mark.parametrize(
    ("observed", "found"),
    [([], None), ([job()], job()), ([job("Complete")], None), ([job("FailureTarget", "Failed")], None)],
)
def test_only_a_job_that_is_there_and_not_over_runs(observed: list[dict[str, Any]], found: Any) -> None:
    assert fetching.running(observed, JOB) == found


def test_a_download_that_was_given_up_says_why_and_how_to_try_again() -> None:
    given_up = view([job("Failed")], GAVE_UP)
    assert given_up.state == "failed"
    assert given_up.message.startswith("DiskFull: pod a: 40 GB are needed")
    assert given_up.message.endswith("(delete Job echo-fetch-1a2b to try again, or change model.source)")
    assert view([job("Failed")]).message.startswith(
        "the download failed; see the logs of its pods (delete Job echo-fetch"
    )


@pytest.mark.parametrize(
    ("report", "says"),
    [
        (FetchReport("default", "echo", "waiting"), "the download is waiting"),
        (
            FetchReport("default", "echo", "waiting", message="another download has the lock"),
            "another download has the lock",
        ),
        (FetchReport("default", "echo", "downloading"), "the download is downloading"),
        (
            FetchReport("default", "echo", "downloading", bytes_done=999, bytes_total=1000),
            "downloading: 99 % (0.0 of 0.0 GB",
        ),
    ],
)
def test_a_report_is_spoken_as_a_sentence(report: FetchReport, says: str) -> None:
    assert fetching.spoken(report).startswith(says)


FIELDS = {"state", "bytesDone", "bytesTotal", "percent", "message"}
BEFORE = {"state": "downloading", "bytesDone": 7, "bytesTotal": 10, "percent": 70, "message": "downloading: 70 %"}
TROUBLED = FetchView("running", "x", Finding(reasons.TOKEN_REFUSED, "correct it"))


@pytest.mark.parametrize(
    ("seen", "said", "before", "told"),
    [
        (FetchView("running", "m"), None, None, ("waiting", 0, 0, 0, "m")),
        (FetchView("running", "m"), None, BEFORE, ("waiting", 7, 10, 70, "m")),
        (FetchView("running", "m"), DOWNLOADING, None, ("downloading", 4 * 10**8, 10**9, 40, "m")),
        (TROUBLED, RESOLVING, None, ("resolving", 0, 0, 0, "TokenRefused: correct it")),
        (FetchView("failed", "given up"), DOWNLOADING, None, ("failed", 4 * 10**8, 10**9, 40, "given up")),
        (FetchView("done"), None, BEFORE, ("done", 10, 10, 100, "")),
        (FetchView("done"), None, None, ("done", 0, 0, 100, "")),
        (FetchView(), RESOLVING, None, ("resolving", 0, 0, 0, "asking the hub")),
    ],
)
def test_the_status_has_every_field_so_that_the_server_adds_none(
    seen: FetchView, said: FetchReport | None, before: dict[str, Any] | None, told: tuple[Any, ...]
) -> None:
    status = fetching.status(seen, said, before)
    assert status is not None
    assert status.keys() == FIELDS
    assert tuple(status.values()) == told


def test_without_a_download_there_is_nothing_in_the_status() -> None:
    assert fetching.status(FetchView(), None, BEFORE) is None
