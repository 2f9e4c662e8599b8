"""What streams without a model are told of, and when."""

import pytest
from tailrace_operator.controller.orphans import Orphans
from tailrace_operator.controller.world import World
from tailrace_operator.plan import Ref

from .objects import resource

ECHO = ("tr_req_default_echo", "tr_log_default_echo")
GONE = ("tr_req_default_gone", "tr_log_default_gone")


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    words = [record.getMessage() for record in caplog.records]
    caplog.clear()
    return words


@pytest.fixture
def world() -> World:
    world = World()
    world.put(resource())
    return world


def test_streams_of_a_model_that_is_gone_are_told_once_with_what_removes_them(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    orphans = Orphans(world, ())
    orphans.look([*ECHO, *GONE])
    assert told(caplog) == [], "it may just be going"
    orphans.look([*ECHO, *GONE])
    (words,) = told(caplog)
    assert words == (
        "broker.orphaned model=default.gone: there is no such StreamingModel; remove what it left with "
        "`nats stream rm -f tr_req_default_gone` and `nats stream rm -f tr_log_default_gone` "
        "and `nats kv purge -f tailrace_models default.gone`"
    )
    orphans.look([*ECHO, *GONE])
    assert told(caplog) == []


def test_one_that_was_removed_and_is_left_again_is_told_again(world: World, caplog: pytest.LogCaptureFixture) -> None:
    orphans = Orphans(world, ())
    for streams in (GONE, GONE, (), GONE, GONE[1:]):
        orphans.look(streams)
    assert len(told(caplog)) == 2


def test_a_model_that_is_being_removed_leaves_no_orphan(world: World, caplog: pytest.LogCaptureFixture) -> None:
    orphans = Orphans(world, ())
    world.drop(Ref.of(resource()))
    orphans.look(ECHO)
    orphans.look(())
    assert told(caplog) == []


def test_what_is_not_ours_to_judge_is_no_orphan(world: World, caplog: pytest.LogCaptureFixture) -> None:
    orphans = Orphans(world, ["default"])
    for _ in range(2):
        orphans.look(["tr_log_unwatched_m", "MIRROR_of_logs", *ECHO])
    assert told(caplog) == []
