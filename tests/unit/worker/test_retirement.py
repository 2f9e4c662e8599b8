"""A worker that the operator wants empty, and one that it wants back."""

import pytest
from prometheus_client import CollectorRegistry, Gauge
from tailrace_worker.load import LoadMeter
from tailrace_worker.probes import Answer, ready
from tailrace_worker.retirement import Retirement
from tailrace_worker.status import Status


def test_a_retirement_ends_with_its_lease_or_at_a_word():
    retirement = Retirement()
    assert not retirement.holds(0.0)
    retirement.ask(2.0, 10.0)
    assert retirement.holds(11.9)
    assert not retirement.holds(12.0)
    retirement.ask(2.0, 12.0)
    retirement.ask(0.0, 12.5)
    assert not retirement.holds(12.5)


def test_a_worker_that_retires_is_not_missing():
    assert ready(Status(4, state="draining", retiring=True)) == Answer(200, "retiring")
    assert ready(Status(4, state="draining")).status == 503
    assert ready(Status(4, state="draining", retiring=True, defect="the engine died")).status == 503


class Clock:
    now, tokens = 100.0, 0.0


def meter(registry=None):
    clock = Clock()
    return clock, LoadMeter(lambda: clock.tokens, registry or CollectorRegistry(), lambda: clock.now)


def test_the_time_between_tokens_follows_from_their_rate_and_the_streams():
    clock, meters = meter()
    clock.now, clock.tokens = 102.0, 400.0
    load = meters.look(active=4)
    assert (load.tokens_per_s, load.inter_token_s) == (200.0, 0.02)
    assert (load.kv_use, load.waiting) == (0.0, 0)


def test_an_engine_without_work_has_no_latency():
    clock, meters = meter()
    clock.now = 102.0
    assert meters.look(active=0).inter_token_s == 0.0


@pytest.mark.parametrize(("after_s", "rate"), [(0.39, 0.0), (0.41, 100.0)])
def test_too_short_a_look_tells_what_the_last_one_told(after_s, rate):
    clock, meters = meter()
    clock.now, clock.tokens = 100.0 + after_s, after_s * 100
    assert meters.look(active=1).tokens_per_s == pytest.approx(rate)


def test_vllms_own_gauges_tell_of_its_cache_and_its_queue():
    registry = CollectorRegistry()
    for name, values in (("vllm:kv_cache_usage_perc", (0.25, 0.5)), ("vllm:num_requests_waiting", (1, 2))):
        gauge = Gauge(name, "as vLLM has it", ["engine"], registry=registry)
        for engine, value in enumerate(values):
            gauge.labels(str(engine)).set(value)
    clock, meters = meter(registry)
    clock.now, clock.tokens = 101.0, 100.0
    load = meters.look(active=8)
    assert (load.kv_use, load.waiting) == (0.5, 3)
    assert load.inter_token_s == 0.05, "of those that it generates"
