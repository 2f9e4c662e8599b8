"""The local broker: real nats-server, real accounts, broker objects as rendered."""

import asyncio
import stat

import nats
import pytest
from tailrace_operator.apply.broker import BrokerRefusedError
from tailrace_operator.local.broker import LocalBroker, apply, remove_others
from tailrace_operator.render import RenderSettings, render
from tailrace_operator.resources import StreamingModel
from tailrace_protocol import subjects
from tailrace_protocol.subjects import ModelKey


def model(**spec):
    return StreamingModel.parse(
        {
            "apiVersion": "tailrace.dev/v1alpha1",
            "kind": "StreamingModel",
            "metadata": {"name": "echo"},
            "spec": {"engine": {"simulated": {"maxStreams": 3}}, "replicas": 2, **spec},
        }
    )


@pytest.fixture
async def broker(tmp_path):
    async with LocalBroker(tmp_path) as running:
        yield running


async def test_objects_are_made_as_rendered_and_left_alone_the_second_time(broker):
    objects = render(model(queue={"maxWaiting": 10}), RenderSettings()).broker

    first = await apply(broker, objects)
    second = await apply(broker, objects)

    assert {change.outcome for change in first} == {"created"}
    assert {change.outcome for change in second} == {"unchanged"}
    async with broker.connect() as client:
        jetstream = client.jetstream()
        queue = (await jetstream.stream_info("tr_req_default_echo")).config
        assert (queue.max_msgs, queue.retention, queue.discard) == (16, "workqueue", "new")
        consumer = (await jetstream.consumer_info("tr_req_default_echo", subjects.WORKERS_CONSUMER)).config
        assert (consumer.ack_wait, consumer.max_deliver, consumer.max_ack_pending) == (1.0, -1, -1)
        log = (await jetstream.stream_info("tr_log_default_echo")).config
        assert (log.max_age, log.allow_direct, log.storage) == (4200.0, True, "memory")


async def test_a_changed_model_updates_only_what_changed(broker):
    await apply(broker, render(model(), RenderSettings()).broker)

    changes = await apply(
        broker, render(model(failover={"ackWait": "2s"}, queue={"maxWaiting": 7}), RenderSettings()).broker
    )

    updated = {change.name for change in changes if change.outcome == "updated"}
    assert updated == {"tr_req_default_echo", "tr_req_default_echo/workers"}


async def test_a_shorter_need_does_not_shorten_the_shared_store(broker):
    await apply(broker, render(model(timeouts={"total": "2h"}), RenderSettings()).broker)
    await apply(broker, render(model(timeouts={"total": "10m"}), RenderSettings()).broker)

    async with broker.connect() as client:
        store = (await client.jetstream().stream_info("OBJ_" + subjects.PAYLOADS_BUCKET)).config
    assert store.max_age == 2 * 3600 + 600 + 120


async def test_models_of_earlier_runs_are_removed(broker):
    assert await remove_others(broker, set()) == []
    await apply(broker, render(model(), RenderSettings()).broker)
    assert await remove_others(broker, {ModelKey("default", "echo")}) == []

    assert await remove_others(broker, {ModelKey("default", "other")}) == [ModelKey("default", "echo")]
    async with broker.connect() as client:
        names = {stream.config.name for stream in await client.jetstream().streams_info()}
    assert names == {"KV_" + subjects.MODELS_BUCKET, "OBJ_" + subjects.PAYLOADS_BUCKET}
    assert await remove_others(broker, set()) == []


async def test_a_change_of_storage_is_refused_with_the_remedy(broker):
    await apply(broker, render(model(), RenderSettings()).broker)

    with pytest.raises(BrokerRefusedError, match=r"replay\.storage cannot be changed"):
        await apply(broker, render(model(replay={"storage": "file"}), RenderSettings()).broker)


async def test_a_large_object_and_an_entry_travel_as_gateway_and_worker(broker):
    await apply(broker, render(model(), RenderSettings()).broker)

    async with broker.connect("gateway") as gateway, broker.connect("worker") as worker:
        store = await gateway.jetstream().object_store(subjects.PAYLOADS_BUCKET)
        await store.put("large", b"x" * 3_000_000)
        received = await (await worker.jetstream().object_store(subjects.PAYLOADS_BUCKET)).get("large")
        entries = await gateway.jetstream().key_value(subjects.MODELS_BUCKET)
        first = await (await entries.watchall()).updates()
        assert (first.key, bool(first.value)) == ("default.echo", True)
        await store.delete("large")
    assert received.data == b"x" * 3_000_000


async def test_the_advisory_user_hears_a_lost_connection_and_nothing_else(broker):
    errors: list[str] = []

    async def note(error: Exception) -> None:
        errors.append(str(error))

    settings = broker.settings_for("gateway")
    watcher = await nats.connect(
        broker.url,
        user=settings.system_user,
        password=broker.credentials.password("advisory"),
        error_cb=note,
        allow_reconnect=False,
    )
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def hear(message) -> None:
        heard.put_nowait(message.data)

    await watcher.subscribe("$SYS.ACCOUNT.TAILRACE.DISCONNECT", cb=hear)
    await watcher.subscribe("$SYS.>", cb=hear)
    await watcher.publish("$SYS.REQ.SERVER.PING", b"")
    await watcher.flush()
    lost = await nats.connect(
        broker.url, user="worker", password=broker.credentials.password("worker"), name="tailrace-worker-w1"
    )
    await lost.close()

    assert b"tailrace-worker-w1" in await asyncio.wait_for(heard.get(), 2)
    await watcher.close()
    assert len(errors) == 2
    assert all("permissions violation" in error.lower() for error in errors)


async def test_a_restart_keeps_port_users_and_files(broker):
    await apply(broker, render(model(replay={"storage": "file"}), RenderSettings()).broker)
    port, password = broker.port, broker.credentials.password("worker")

    await broker.child.kill()
    await broker.restart()

    assert (broker.port, broker.credentials.password("worker")) == (port, password)
    changes = await apply(broker, render(model(replay={"storage": "file"}), RenderSettings()).broker)
    assert {change.outcome for change in changes} == {"unchanged"}


async def test_passwords_are_readable_by_their_owner_only(broker, tmp_path):
    secret_files = [*(tmp_path / "secrets").iterdir(), tmp_path / "run" / "nats.conf"]

    assert {stat.S_IMODE(file.stat().st_mode) for file in secret_files} == {0o600}


async def test_a_wrong_password_is_refused(broker):
    reader, writer = await asyncio.open_connection("127.0.0.1", broker.port)
    await reader.readline()
    writer.write(b'CONNECT {"verbose":false,"user":"worker","pass":"wrong"}\r\nPING\r\n')

    assert b"Authorization Violation" in await asyncio.wait_for(reader.readline(), 2)
    writer.close()
    await writer.wait_closed()
