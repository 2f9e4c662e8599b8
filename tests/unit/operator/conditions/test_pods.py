"""What is said of a pod that does not serve."""

from dataclasses import replace

import pytest
from tailrace_operator.conditions import PodView
from tailrace_operator.conditions.pods import last_words, pod_trouble

from .given import BEFORE, CREATED, LATER, NOT_SET_UP, SERVING, crashing, pod, running, unscheduled, waiting
from .troubles import QUIET, TROUBLES, Trouble


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.about)
def test_a_stuck_pod_is_given_its_reason_its_own_words_and_a_remedy(trouble: Trouble) -> None:
    found = pod_trouble([trouble.pod])
    assert found is not None
    assert found.reason.name == trouble.reason
    assert "pod echo-worker-6d4f-x2x9p" in found.message
    for words in trouble.says:
        assert words in found.message


@pytest.mark.parametrize("quiet", QUIET.values(), ids=QUIET.keys())
def test_a_pod_that_is_on_its_way_or_does_not_count_is_no_trouble(quiet: PodView) -> None:
    assert pod_trouble([quiet]) is None


def test_the_newest_pod_that_is_stuck_is_the_one_that_is_told_of() -> None:
    older = pod(crashing("engine_failed: old"), name="a", created=BEFORE)
    newer = pod(crashing("out_of_memory: new"), name="b", created=LATER)
    loading = pod(running(), name="c", created="2026-11-22T21:00:00Z", ready_since=BEFORE)
    for pods in ([older, newer, loading, SERVING], [loading, newer, older]):
        found = pod_trouble(pods)
        assert found is not None
        assert found.message.startswith("pod b: new")
    assert pod_trouble([]) is None


@pytest.mark.parametrize(
    ("ready_since", "tells"),
    [("2026-11-22T20:05:00Z", True), ("2026-11-22T20:05:01Z", False)],
    ids=["not ready since it started", "ready since it started"],
)
def test_a_crash_matters_until_the_next_try_has_served(ready_since: str, tells: bool) -> None:
    tries = running(since="2026-11-22T20:05:00Z", restarts=1, last={"exitCode": 1, "message": "engine_failed: x"})
    assert (pod_trouble([pod(tries, ready_since=ready_since)]) is not None) is tells


def test_where_it_cannot_run_comes_before_how_it_ran() -> None:
    placed = unscheduled("0/1 nodes are available: 1 Insufficient memory.")
    found = pod_trouble([placed])
    assert found is not None
    assert found.reason.name == "Unschedulable"


def test_the_last_words_of_a_pod_that_is_over_can_be_read() -> None:
    over = pod(crashing("model_not_found: there is no such repository"), phase="Failed", created=CREATED)
    found = last_words(over)
    assert found is not None
    assert found.reason.name == "ModelNotFound"
    assert last_words(pod(running())) is None


@pytest.mark.parametrize(
    ("since", "waits_s", "hangs"),
    [("20:09:01", 59, False), ("20:09:00", 60, True), ("20:00:00", 600, True), ("20:10:01", 0, False)],
    ids=["a moment less than a minute", "a minute", "long", "by a clock that is ahead"],
)
def test_a_pod_hangs_when_its_node_has_not_set_it_up_for_a_minute(since: str, waits_s: float, hangs: bool) -> None:
    told = NOT_SET_UP | {"lastTransitionTime": f"2026-11-22T{since}Z"}
    stuck = pod(waiting("ContainerCreating"), set_up=told)
    assert (stuck.waits_s, stuck.hangs) == (waits_s, hangs)


def test_a_pod_whose_containers_have_run_does_not_wait_for_its_first_volumes() -> None:
    """Its node makes its sandbox anew, for example after a restart."""
    assert pod(running(), set_up=NOT_SET_UP).waits_s is None


def test_a_pod_that_hangs_quotes_what_its_node_complains_of() -> None:
    stuck = pod(waiting("ContainerCreating"), set_up=NOT_SET_UP)
    found = pod_trouble([replace(stuck, overheard='MountVolume.SetUp failed for volume "x": secret "y" not found')])
    assert found is not None
    assert 'its network: MountVolume.SetUp failed for volume "x": secret "y" not found (free a' in found.message
