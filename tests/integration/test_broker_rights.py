"""What the users of the real broker may do: what their part does, and nothing that belongs to another."""

import json

import pytest
from broker_rights import MAY_PUBLISH, MUST_NOT_HEAR, MUST_NOT_PUBLISH, attempts_of
from nats.errors import NoRespondersError
from tailrace_operator.local.broker import LocalBroker, apply
from tailrace_operator.render import RenderSettings, render
from tailrace_operator.resources import StreamingModel
from tailrace_protocol import subjects

MODEL = {
    "apiVersion": "tailrace.dev/v1alpha1",
    "kind": "StreamingModel",
    "metadata": {"name": "echo"},
    "spec": {"engine": {"simulated": {}}},
}
USERS = ("gateway", "worker")


@pytest.fixture
async def broker(tmp_path):
    async with LocalBroker(tmp_path) as running:
        await apply(running, render(StreamingModel.parse(MODEL), RenderSettings()).broker)
        yield running


@pytest.fixture(params=USERS)
async def attempts(request, broker):
    password = broker.credentials.password(request.param)
    async with attempts_of(broker.url, request.param, password) as made:
        made.user = request.param
        yield made


async def test_a_part_may_not_do_what_belongs_to_another(attempts):
    wanted = MUST_NOT_PUBLISH[attempts.user]
    assert await attempts.published(*wanted) == set(wanted)


async def test_a_part_may_not_hear_what_is_meant_for_another(attempts):
    wanted = MUST_NOT_HEAR[attempts.user]
    assert await attempts.subscribed(*wanted) == set(wanted)


async def test_a_part_may_do_its_own(attempts):
    assert await attempts.published(*MAY_PUBLISH[attempts.user]) == set()


async def test_what_is_refused_does_not_happen(broker, attempts):
    """With requests that the operator's user would be obeyed for."""
    entry, purge = f"$KV.{subjects.MODELS_BUCKET}.default.echo", "$JS.API.STREAM.PURGE.tr_log_default_echo"
    delete = f"$JS.API.CONSUMER.DELETE.tr_req_default_echo.{subjects.WORKERS_CONSUMER}"
    async with broker.connect() as admin:
        jetstream = admin.jetstream()
        await jetstream.publish("tr.log.default.echo.g1.x", b"kept")
        before = (await (await jetstream.key_value(subjects.MODELS_BUCKET)).get("default.echo")).value
        await attempts.published(entry, purge, delete)
        assert (await (await jetstream.key_value(subjects.MODELS_BUCKET)).get("default.echo")).value == before
        assert (await jetstream.stream_info("tr_log_default_echo")).state.messages == 1
        assert await jetstream.consumer_info("tr_req_default_echo", subjects.WORKERS_CONSUMER)
        for subject in (purge, delete):
            assert json.loads((await admin.request(subject)).data)["success"]


async def test_nobody_but_the_operator_makes_streams(broker, attempts):
    config = json.dumps({"name": "mine", "subjects": ["mine"]}).encode()
    await attempts.client.publish("$JS.API.STREAM.CREATE.mine", config)
    assert await attempts.published("$JS.API.STREAM.CREATE.mine")
    async with broker.connect() as admin:
        with pytest.raises(NoRespondersError):
            await admin.request("mine", b"")
