"""The chart's NATS on real nodes: it waits for its credentials, and loses nothing that it confirmed."""

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import nats
import pytest
from broker_rights import MAY_PUBLISH, MUST_NOT_HEAR, MUST_NOT_PUBLISH, attempts_of
from harness.cluster import Cluster
from harness.errors import CommandError
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.api import StorageType

from .releases import Credentials, Release, nats_release

CREDENTIALS = Credentials.new()
STATEFUL_SET = "tailrace-nats"


@pytest.fixture(scope="module")
def three(cluster: Cluster) -> Iterator[Release]:
    """Three servers on two nodes."""
    with nats_release(cluster, 3, CREDENTIALS) as release:
        cluster.wait_rollout("statefulset", STATEFUL_SET, release.namespace)
        yield release


@asynccontextmanager
async def client(release: Release, user: str = "operator", server: str = "") -> AsyncIterator[Client]:
    """A connection through the client Service, which is made again for ever; at first to `server`, if one is named."""
    connection = await connected(release, user)
    while server and connection._server_info["server_name"] != server:
        await connection.close()
        connection = await connected(release, user)
    try:
        yield connection
    finally:
        await connection.close()


def address(release: Release) -> str:
    return f"nats://{release.service_ip(STATEFUL_SET)}:4222"


async def connected(release: Release, user: str) -> Client:
    return await nats.connect(
        address(release),
        user=user,
        password=CREDENTIALS.passwords[user],
        connect_timeout=2,
        reconnect_time_wait=0.1,
        max_reconnect_attempts=-1,
        ping_interval=2,
        max_outstanding_pings=2,
        error_cb=_quiet,
    )


async def _quiet(_: Exception) -> None:
    """Lost connections are what these tests make."""


@dataclass
class Publisher:
    """Publishes numbers into a stream, one after the other, each until it is confirmed."""

    connection: Client
    stream: str
    confirmed: int = 0
    longest_pause_s: float = 0.0
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        last = time.monotonic()
        while not self.ended.is_set():
            number = self.confirmed + 1
            with contextlib.suppress(NatsError, asyncio.TimeoutError):
                js = self.connection.jetstream(timeout=1)
                await js.publish(f"{self.stream}.x", str(number).encode(), headers={"Nats-Msg-Id": f"{number}"})
                self.confirmed = number
                now = time.monotonic()
                self.longest_pause_s, last = max(self.longest_pause_s, now - last), now
            await asyncio.sleep(0.01)


async def undisturbed(release: Release, stream: str, server: str, disturb: Callable[[], object]) -> Publisher:
    """Publish while something happens to a server that leads the stream, and that the publisher is connected to.

    All that was confirmed must be there afterwards, once, in order.
    """
    async with client(release, server=server) as connection:
        js = connection.jetstream(timeout=5)
        await js.add_stream(name=stream, subjects=[f"{stream}.>"], num_replicas=3, storage=StorageType.MEMORY)
        await led_by(connection, stream, server)
        publisher = Publisher(connection, stream)
        running = asyncio.create_task(publisher.run())
        try:
            await asyncio.sleep(0.5)
            await asyncio.to_thread(disturb)
            before = publisher.confirmed
            await asyncio.sleep(1)
        finally:
            publisher.ended.set()
            await running
        assert publisher.confirmed > before, "nothing was confirmed afterwards"
        found = [int((await js.get_msg(stream, number)).data) for number in range(1, publisher.confirmed + 1)]
        assert found == list(range(1, publisher.confirmed + 1))
    print(f"longest pause: {publisher.longest_pause_s:.2f} s in {publisher.confirmed} messages")
    return publisher


async def led_by(connection: Client, stream: str, server: str) -> None:
    """Make a server the leader of a stream."""
    wish = json.dumps({"placement": {"preferred": server}}).encode()
    async with asyncio.timeout(20):
        while (await connection.jetstream().stream_info(stream)).cluster.leader != server:
            await connection.request(f"$JS.API.STREAM.LEADER.STEPDOWN.{stream}", wish, timeout=5)
            await asyncio.sleep(0.5)


def node_of(pod: dict[str, dict[str, str]]) -> str:
    return pod["spec"]["nodeName"]


def names_by_node(release: Release) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for pod in release.pods("nats"):
        found.setdefault(node_of(pod), []).append(pod["metadata"]["name"])
    return found


async def test_one_server_waits_for_its_secret_and_keeps_its_streams_when_it_dies(cluster):
    with nats_release(cluster, 1, None) as release:
        namespace = release.namespace
        waiting = cluster.wait("pod", "tailrace-nats-0", namespace, lambda seen: seen and "nodeName" in seen["spec"])
        assert waiting["status"]["phase"] == "Pending"
        cluster.apply(CREDENTIALS.secret(), namespace)
        cluster.wait_rollout("statefulset", STATEFUL_SET, namespace, timeout_s=150)
        async with client(release) as connection:
            js = connection.jetstream(timeout=10)
            await js.add_stream(name="kept", subjects=["kept.>"], storage=StorageType.FILE)
            for number in range(100):
                await js.publish("kept.x", str(number).encode())
        kill(release, "tailrace-nats-0")
        async with client(release) as connection:
            assert (await connection.jetstream(timeout=10).stream_info("kept")).state.messages == 100


def kill(release: Release, pod: str) -> None:
    """Kill a server at once, and wait until another has taken its place."""
    uid = release.cluster.get("pod", pod, release.namespace)["metadata"]["uid"]
    release.cluster.kubectl("delete", "pod", pod, "-n", release.namespace, "--grace-period=0", "--force")
    release.cluster.wait("pod", pod, release.namespace, lambda seen: seen and seen["metadata"]["uid"] != uid)
    release.cluster.wait_condition("pod", pod, release.namespace, "Ready")


@pytest.mark.parametrize("user", ["gateway", "worker"])
async def test_users_may_do_what_their_part_needs_and_no_more(three, user):
    async with attempts_of(address(three), user, CREDENTIALS.passwords[user]) as attempts:
        assert await attempts.published(*MAY_PUBLISH[user]) == set()
        assert await attempts.published(*MUST_NOT_PUBLISH[user]) == set(MUST_NOT_PUBLISH[user])
        assert await attempts.subscribed(*MUST_NOT_HEAR[user]) == set(MUST_NOT_HEAR[user])


def test_three_servers_share_two_nodes_as_evenly_as_can_be(three):
    assert sorted(map(len, names_by_node(three).values())) == [1, 2]


def test_a_server_without_the_password_does_not_get_in(three, tmp_path):
    three.cluster.apply(route_service(), three.namespace)
    address = three.service_ip("routes")
    log = tmp_path / "log"
    config = f"port: -1\nserver_name: stranger\ncluster {{ name: {STATEFUL_SET}, port: -1, "
    config += f'routes: ["nats://routes:guessed@{address}:6222"] }}\n'
    (tmp_path / "nats.conf").write_text(config)
    command = [Path(sys.executable).parent / "nats-server", "-c", tmp_path / "nats.conf", "-l", log]
    with subprocess.Popen(command) as stranger:
        time.sleep(3)
        stranger.terminate()
    assert "Authorization Violation" in log.read_text()


def route_service() -> dict[str, object]:
    """The servers' own port by an address that this machine reaches."""
    selector = {"app.kubernetes.io/component": "nats"}
    spec = {"selector": selector, "ports": [{"port": 6222, "targetPort": "cluster"}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "routes"}, "spec": spec}


async def test_a_killed_server_loses_nothing_that_was_confirmed(three):
    server = "tailrace-nats-1"
    assert (await undisturbed(three, "killed", server, lambda: kill(three, server))).longest_pause_s < 10


@pytest.mark.timeout(600)
async def test_a_rolling_restart_loses_nothing_that_was_confirmed(three):
    def restart() -> None:
        three.cluster.kubectl("rollout", "restart", f"statefulset/{STATEFUL_SET}", "-n", three.namespace)
        three.cluster.wait_rollout("statefulset", STATEFUL_SET, three.namespace, timeout_s=400)

    assert (await undisturbed(three, "restarted", "tailrace-nats-0", restart)).longest_pause_s < 10


def evict(release: Release, pod: str) -> str:
    """What `kubectl drain` does to a pod."""
    described = {"name": pod, "namespace": release.namespace}
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": described}
    path = f"/api/v1/namespaces/{release.namespace}/pods/{pod}/eviction"
    return release.cluster.kubectl("create", f"--raw={path}", "-f", "-", stdin=json.dumps(body))


def test_an_eviction_takes_one_server_at_a_time(three):
    before = three.cluster.get("pod", "tailrace-nats-0", three.namespace)["metadata"]["uid"]
    evict(three, "tailrace-nats-0")
    with pytest.raises(CommandError, match="disruption budget"):
        evict(three, "tailrace-nats-1")
    three.cluster.wait(
        "pod", "tailrace-nats-0", three.namespace, lambda seen: seen and seen["metadata"]["uid"] != before, 90
    )
    three.cluster.wait_rollout("statefulset", STATEFUL_SET, three.namespace)


@pytest.mark.timeout(600)
async def test_the_loss_of_a_node_loses_nothing_that_was_confirmed(three):
    cluster = three.cluster
    [(lonely, server)] = [(node, pods[0]) for node, pods in names_by_node(three).items() if len(pods) == 1]

    def lose() -> None:
        cluster.kill_node(lonely)
        time.sleep(20)

    try:
        assert (await undisturbed(three, "lost", server, lose)).longest_pause_s < 15
    finally:
        await asyncio.to_thread(cluster.start_node, lonely)
    await asyncio.to_thread(cluster.wait_rollout, "statefulset", STATEFUL_SET, three.namespace, 240)
