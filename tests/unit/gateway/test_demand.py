"""The operator is called when requests wait, and not once for each of them."""

import pytest
from nats.errors import ConnectionClosedError
from tailrace_gateway.demand import Demand
from tailrace_protocol.subjects import ModelKey

ONE, OTHER = ModelKey("default", "one"), ModelKey("default", "other")


class Broker:
    def __init__(self, *, connected=True, fails=False):
        self.is_connected, self.fails, self.published = connected, fails, []

    async def publish(self, subject):
        if self.fails:
            raise ConnectionClosedError
        self.published.append(subject)


@pytest.mark.parametrize(("again_s", "calls"), [(0.49, 1), (0.5, 2)])
async def test_a_model_is_called_twice_a_second_at_most(again_s, calls):
    broker = Broker()
    demand = Demand(broker)
    await demand.call(ONE, 10.0)
    await demand.call(ONE, 10.0 + again_s)
    assert broker.published == ["tr.wake.default.one"] * calls


async def test_one_model_does_not_keep_another_silent():
    broker = Broker()
    demand = Demand(broker)
    await demand.call(ONE, 10.0)
    await demand.call(OTHER, 10.1)
    assert broker.published == ["tr.wake.default.one", "tr.wake.default.other"]


async def test_a_broker_that_is_away_breaks_nothing():
    await Demand(Broker(fails=True)).call(ONE, 10.0)
    away = Broker(connected=False)
    await Demand(away).call(ONE, 10.0)
    assert away.published == []
