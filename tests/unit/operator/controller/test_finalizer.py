"""A deleted model is held until the broker has forgotten it, and let go in the end even if the broker is dead."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tailrace_operator.apply.kubernetes import ChangedError, NamespaceGoingError, UnreachableError
from tailrace_operator.conditions import BrokerView
from tailrace_operator.controller.finalizer import FINALIZER, BrokerAwayError, Finalizer
from tailrace_operator.controller.journal import Journal
from tailrace_operator.plan import Ref
from tailrace_protocol.subjects import ModelKey

from .fake_api import FakeApi
from .objects import resource

DELETED = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)
MODEL = Ref.of(resource())
STANDS, AWAY = BrokerView(), BrokerView("unreachable", "no answer from nats:4222")


class Broker:
    def __init__(self, view: BrokerView) -> None:
        self.view = view
        self.removed: list[str] = []
        self.held = {"default.echo"}

    def holds(self, model: Any) -> bool:
        return str(model) in self.held

    def disown(self, model: Any) -> None:
        self.held.discard(str(model))

    async def remove(self, model: Any) -> BrokerView:
        self.removed.append(str(model))
        return self.view


class Bench:
    def __init__(self, view: BrokerView = STANDS, waited_s: float = 0, finalizers: tuple[str, ...] = (FINALIZER,)):
        metadata = {"finalizers": list(finalizers), "deletionTimestamp": "2026-11-22T20:00:00Z"}
        self.api, self.broker = FakeApi(resource(metadata=metadata)), Broker(view)
        clock = lambda: DELETED + timedelta(seconds=waited_s)  # noqa: E731
        broker: Any = self.broker
        self.finalizer = Finalizer(self.api, broker, Journal(self.api, "operator-0", clock), 60, clock)

    @property
    def model(self) -> dict[str, Any]:
        return self.api.objects[MODEL]

    @property
    def held_by(self) -> list[str]:
        return list(self.model["metadata"]["finalizers"])


async def test_a_model_is_held_once_beside_what_others_hold_it_by() -> None:
    bench = Bench(finalizers=("example.com/backup",))
    await bench.finalizer.hold(bench.model)
    assert bench.held_by == ["example.com/backup", FINALIZER]
    await bench.finalizer.hold(bench.model)
    assert bench.api.written == ["finalize StreamingModel echo"]


async def test_a_model_that_changed_meanwhile_is_not_written_over() -> None:
    bench = Bench(finalizers=())
    stale = {**bench.model, "metadata": {**bench.model["metadata"], "resourceVersion": "1"}}
    with pytest.raises(ChangedError):
        await bench.finalizer.hold(stale)
    assert bench.held_by == []


async def test_a_deleted_model_is_let_go_when_the_broker_has_forgotten_it() -> None:
    bench = Bench(finalizers=("example.com/backup", FINALIZER))
    await bench.finalizer.let_go(bench.model)
    assert bench.broker.removed == ["default.echo"]
    assert bench.held_by == ["example.com/backup"]
    assert bench.api.events == []


async def test_what_we_do_not_hold_is_no_business_of_ours() -> None:
    bench = Bench(finalizers=("example.com/backup",))
    await bench.finalizer.let_go(bench.model)
    assert bench.broker.removed == []
    assert bench.api.asked == []


@pytest.mark.parametrize("waited_s", [0, 59.9])
async def test_a_broker_that_is_away_is_waited_for(waited_s: float) -> None:
    bench = Bench(AWAY, waited_s)
    with pytest.raises(BrokerAwayError, match=rf"no answer from nats:4222; giving up in {60 - waited_s:.0f} s"):
        await bench.finalizer.let_go(bench.model)
    assert bench.held_by == [FINALIZER]
    assert bench.api.events == []


@pytest.mark.parametrize("waited_s", [60, 3600])
@pytest.mark.parametrize("state", ["unreachable", "refused"])
async def test_a_broker_that_stays_away_is_given_up_and_said(waited_s: float, state: Any) -> None:
    bench = Bench(BrokerView(state, "no answer"), waited_s)
    await bench.finalizer.let_go(bench.model)
    assert bench.held_by == []
    (event,) = bench.api.events
    assert (event["type"], event["reason"]) == ("Warning", "BrokerStateLeft")
    assert event["message"] == (
        f"the broker did not answer for {waited_s:.0f} s (no answer), so its streams stay there; "
        "remove what it left with `nats stream rm -f tr_req_default_echo` and `nats stream rm -f tr_log_default_echo` "
        "and `nats kv purge -f tailrace_models default.echo`"
    )
    assert not bench.broker.held, "what was said to be left is left"


async def test_what_is_left_in_a_namespace_that_goes_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(AWAY, waited_s=60)
    bench.api.refuse("create", "Event", NamespaceGoingError("namespace default is being terminated"))
    await bench.finalizer.let_go(bench.model)
    assert bench.held_by == []
    (warning,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert "BrokerStateLeft about=default/echo" in warning
    assert "`nats stream rm -f tr_log_default_echo`" in warning


async def test_a_model_that_somebody_else_let_go_is_no_failure() -> None:
    bench = Bench()
    gone = bench.model
    bench.api.objects.clear()
    await bench.finalizer.let_go(gone)


async def test_an_api_server_that_is_away_lets_the_next_look_try_again() -> None:
    bench = Bench()
    bench.api.refuse("finalize", MODEL, UnreachableError("no answer"))
    with pytest.raises(UnreachableError):
        await bench.finalizer.let_go(bench.model)
    bench.api.allow("finalize", MODEL)
    await bench.finalizer.let_go(bench.model)
    assert bench.held_by == []


async def test_what_a_model_left_that_was_torn_from_us_is_removed() -> None:
    bench = Bench()
    bench.api.objects.clear()
    await bench.finalizer.clean_up(ModelKey("default", "echo"))
    assert bench.broker.removed == ["default.echo"]


async def test_a_late_word_of_a_former_models_end_costs_the_present_one_nothing() -> None:
    bench = Bench()
    await bench.finalizer.clean_up(ModelKey("default", "echo"))
    assert bench.broker.removed == []


async def test_of_models_that_we_never_held_nothing_is_asked() -> None:
    bench = Bench()
    bench.broker.held.clear()
    await bench.finalizer.clean_up(ModelKey("default", "echo"))
    assert (bench.api.asked, bench.broker.removed) == ([], [])


async def test_what_cannot_be_removed_now_is_tried_again() -> None:
    bench = Bench(AWAY)
    bench.api.objects.clear()
    with pytest.raises(BrokerAwayError, match=r"the streams of default\.echo, which is gone, .* no answer"):
        await bench.finalizer.clean_up(ModelKey("default", "echo"))
