"""Pods that hang: what is asked of the API server about them, and when they are looked at again."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tailrace_operator.apply.kubernetes import RefusedError
from tailrace_operator.controller.pods import Pods, again_s, soonest

from .fake_api import FakeApi
from .objects import child, event, unmounted

NOW = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)
MULTI_ATTACH = 'Multi-Attach error for volume "pvc-1" Volume is already used by pod(s) echo-worker-1'


def pods(*events: dict[str, Any]) -> tuple[Pods, FakeApi]:
    api = FakeApi(*events)
    return Pods(api, lambda: NOW), api


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


async def test_of_pods_that_do_not_hang_nothing_is_asked() -> None:
    looked, api = pods()
    views = await looked.views([unmounted("a", ago(59)), child("b", "Pod", status={"phase": "Running"})])
    assert [view.hangs for view in views] == [False, False]
    assert api.asked == []


async def test_the_newest_that_hangs_is_told_with_its_nodes_last_complaint() -> None:
    looked, api = pods(
        event("uid-new", "FailedMount", "older words", NOW - timedelta(minutes=2)),
        event("uid-new", "FailedAttachVolume", MULTI_ATTACH, NOW - timedelta(minutes=1)),
        event("uid-new", "Scheduled", "not a complaint", NOW, kind="Normal"),
        event("uid-new", "FailedScheduling", "settled since", NOW),
        event("uid-other", "FailedMount", "somebody else's", NOW),
    )
    old, new = unmounted("old", ago(900)), unmounted("new", ago(90))
    views = await looked.views([old, new])
    assert [(view.name, view.overheard) for view in views] == [("new", MULTI_ATTACH), ("old", "")]
    assert len(api.asked) == 1


async def test_one_that_goes_is_not_asked_about() -> None:
    looked, api = pods()
    going = unmounted("a", ago(90), deletionTimestamp="2026-11-22T20:00:00Z")
    await looked.views([going])
    assert api.asked == []


@pytest.mark.parametrize(("minutes", "counts"), [(5, True), (7, False)])
async def test_a_complaint_that_is_not_repeated_any_more_is_settled(minutes: int, counts: bool) -> None:
    looked, _ = pods(event("uid-a", "FailedCreate", "exceeded quota", NOW - timedelta(minutes=minutes)))
    assert await looked.complaint_about(child("a", "Job")) == ("exceeded quota" if counts else "")


@pytest.mark.parametrize(
    "times",
    [
        {"series": {"count": 3, "lastObservedTime": "2026-11-22T19:59:00.123456Z"}, "lastTimestamp": None},
        {"eventTime": "2026-11-22T19:59:00.123456Z", "lastTimestamp": None},
        {"lastTimestamp": None, "creationTimestamp": "2026-11-22T19:59:00Z"},
    ],
    ids=["a series", "a new event", "no time of its own"],
)
async def test_all_ways_of_saying_when_are_understood(times: dict[str, Any]) -> None:
    looked, _ = pods(event("uid-a", "FailedCreate", "exceeded quota", NOW, **times))
    assert await looked.complaint_about(child("a", "Job")) == "exceeded quota"


async def test_without_the_right_to_list_events_all_else_is_told() -> None:
    looked, api = pods()
    chosen = "involvedObject.uid=uid-a,type=Warning,reason!=FailedScheduling"
    api.refuse("list", f"Event in default of {chosen}", RefusedError("no right"))
    [view] = await looked.views([unmounted("a", ago(90))])
    assert (view.hangs, view.overheard) == (True, "")


async def test_a_pod_that_waits_is_looked_at_when_its_minute_is_over_and_each_minute_after() -> None:
    looked, _ = pods()
    views = await looked.views([unmounted("a", ago(20)), unmounted("b", ago(45)), child("c", "Pod", status={})])
    assert again_s(views) == 15
    assert again_s(await looked.views([unmounted("a", ago(60))])) == 60
    assert again_s(await looked.views([child("c", "Pod", status={})])) is None


def test_the_soonest_of_several_looks_is_the_next() -> None:
    assert soonest(15, None, 7) == 7
    assert soonest(None, None) is None
