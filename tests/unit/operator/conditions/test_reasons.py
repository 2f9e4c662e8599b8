"""The table of reasons says what the checks do: every reason appears where it says, and nowhere else."""

import itertools
import re
from collections.abc import Iterator
from typing import Any

from tailrace_fetcher.failure import FailureCode
from tailrace_operator.conditions import (
    BrokerView,
    FetchView,
    Finding,
    GatewayLink,
    GatewayView,
    ModelView,
    PodView,
    Tone,
    WorkloadView,
    gateway_verdicts,
    model_verdicts,
    reasons,
)
from tailrace_protocol.termination import TerminationCode

from .given import FALLEN, NOTHING_YET, QUOTA, SERVES, SERVING, STALL, failing_start, failing_update, workload
from .troubles import TROUBLES


def troubles_on(resource: str) -> list[PodView]:
    return [trouble.pod for trouble in TROUBLES if resource in reasons.BY_NAME[trouble.reason].on]


def workloads(resource: str) -> list[WorkloadView]:
    stuck = [make(pod) for pod in troubles_on(resource) for make in (failing_start, failing_update)]
    few = workload(2, SERVING, FALLEN, replicas=2, updated=2, ready=1)
    refused = [failing_start(refused=QUOTA, replicas=0, updated=0), failing_update(refused=QUOTA)]
    return [SERVES, NOTHING_YET, workload(0, replicas=0), few, failing_update(**STALL), *refused, *stuck]


FETCHES = [
    FetchView(),
    FetchView("running", "40 %"),
    FetchView("failed", "given up"),
    *(FetchView("running", "", Finding(r, "x")) for r in reasons.BY_CODE.values() if r.on == ("StreamingModel",)),
]


def model_views() -> Iterator[ModelView]:
    links = [GatewayLink(), GatewayLink("starting", "x"), GatewayLink("away", "x")]
    brokers = [BrokerView(), BrokerView("unreachable", "x"), BrokerView("refused", "x")]
    for pods, broker, link, (paused, wrong, conflict) in itertools.product(
        workloads("StreamingModel"), brokers, links, [((), (), ()), (1, (), ()), ((), ["x"], ()), ((), (), ["x"])]
    ):
        yield ModelView(pods, bool(paused), wrong or (), conflict or (), broker, gateway=link)
    for link in links:
        yield ModelView(workload(0, replicas=0, updated=0, ready=0), wakes=True, gateway=link)
    for pods, fetch in itertools.product((SERVES, NOTHING_YET), FETCHES):
        yield ModelView(pods, fetch=fetch)


def gateway_views() -> Iterator[GatewayView]:
    for pods, address, (paused, wrong, conflict) in itertools.product(
        workloads("StreamingGateway"), ("", "x"), [((), (), ()), (1, (), ()), ((), ["x"], ()), ((), (), ["x"])]
    ):
        yield GatewayView(pods, bool(paused), wrong or (), conflict or (), address)


def shown(verdicts_of_all: Iterator[dict[str, Any]]) -> set[tuple[str, str]]:
    return {
        (verdict.reason.name, f"{kind}={verdict.status}")
        for verdicts in verdicts_of_all
        for kind, verdict in verdicts.items()
    }


def stated(resource: str) -> set[tuple[str, str]]:
    return {(reason.name, each) for reason in reasons.ALL if resource in reason.on for each in reason.shown}


def test_models_show_each_reason_where_the_table_says_and_nowhere_else() -> None:
    assert shown(map(model_verdicts, model_views())) == stated("StreamingModel")


def test_gateways_show_each_reason_where_the_table_says_and_nowhere_else() -> None:
    of_the_operator = ("NATSUnreachable", "Progressing=False")  # A gateway has no objects on the broker.
    assert shown(map(gateway_verdicts, gateway_views())) == stated("StreamingGateway") - {of_the_operator}


def test_every_code_of_our_containers_has_a_reason() -> None:
    codes = {str(code) for code in (*TerminationCode, *FailureCode)}
    # What nobody foresaw has a sentence, but no advice beyond the log.
    assert codes - set(reasons.BY_CODE) == {"internal"}
    assert set(reasons.BY_CODE) <= codes


def test_names_are_single_words_told_apart() -> None:
    assert len(reasons.BY_NAME) == len(reasons.ALL)
    assert all(re.fullmatch(r"[A-Z][A-Za-z]+", name) for name in reasons.BY_NAME)


def test_whatever_is_wrong_has_an_advice() -> None:
    for reason in reasons.ALL:
        assert reason.when.endswith(".")
        assert (reason.remedy == "nothing") is (reason.tone is Tone.FINE)


def test_only_what_is_wrong_degrades() -> None:
    for reason in reasons.ALL:
        assert ("Degraded=True" in reason.shown) is (reason.tone is Tone.WRONG)
