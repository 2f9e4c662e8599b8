"""The commands of docs/upgrade.md, run as they stand there: a larger volume, new passwords, one server to three."""

import base64
import os
import re
from collections.abc import Iterator

import nats
import pytest
from harness import binaries, shell
from harness.cluster import Cluster
from nats.aio.client import Client

from . import tailrace_images
from .operator_stack import simulated
from .releases import CHART, NATS_IMAGE, RESTRICTED, ROOT, SMALL, SMALL_BROKER, Release, nats_archive

pytestmark = pytest.mark.timeout(400)
PAGE = (ROOT / "docs" / "upgrade.md").read_text()
#: A command for storage that can grow, which this cluster's cannot; and one for pods that run, of which there are none.
NOT_HERE = ("kubectl patch pvc", "sleep")


def commands(heading: str) -> list[str]:
    """The commands under a heading of the page."""
    found = re.search(rf"^## {heading}\n.*?```console\n(.*?)```", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None, f"docs/upgrade.md has no commands under {heading!r}"
    lines = [line.removeprefix("$ ") for line in found[1].splitlines()]
    return [line for line in lines if not line.startswith(NOT_HERE)]


def follow(release: Release, heading: str, **instead: str) -> None:
    """Run the commands under a heading on this release."""
    folders = f"{release.cluster.kubectl_path.parent}:{binaries.path('helm').parent}:{os.environ['PATH']}"
    for line in commands(heading):
        for old, new in {"tailrace-system": release.namespace, "charts/tailrace": str(CHART), **instead}.items():
            line = line.replace(old, new)
        shell.run(["bash", "-euc", line], env={**release.cluster.environment(), "PATH": folders}, timeout_s=300)


@pytest.fixture(scope="module")
def release(cluster: Cluster) -> Iterator[Release]:
    """A release with a model, whose life the tests below follow in their order."""
    cluster.load_image(nats_archive())
    cluster.load_image(tailrace_images.archive("operator"))
    with cluster.namespace("tailrace", RESTRICTED) as namespace, cluster.namespace("team") as team:
        release = Release(cluster, namespace)
        # The definitions that a former test's release kept are that release's, in a namespace that is gone.
        how = ("--wait", "--timeout=200s", "--take-ownership")
        release.install({"nats": {"image": NATS_IMAGE, **SMALL}, "broker": SMALL_BROKER}, *how)
        cluster.apply(simulated("first"), team)
        try:
            yield release
        except BaseException:
            print(release.state())
            raise
        finally:
            cluster.kubectl("delete", "streamingmodel", "first", "-n", team, "--timeout=60s")


async def connected(release: Release) -> Client:
    """The operator's own user, with the password that the Secret holds now."""
    found = release.cluster.get("secret", "tailrace-nats-auth", release.namespace)
    assert found is not None
    password = base64.b64decode(found["data"]["operator"]).decode()
    url = f"nats://{release.service_ip('tailrace-nats')}:4222"
    return await nats.connect(url, user="operator", password=password, max_reconnect_attempts=30, connect_timeout=2)


async def streams(release: Release) -> dict[str, int]:
    """The broker's streams, and how many copies there are of each."""
    client = await connected(release)
    try:
        found = await client.jetstream(timeout=10).streams_info()
        return {info.config.name: info.config.num_replicas for info in found}
    finally:
        await client.close()


async def eventually(release: Release, copies: int) -> dict[str, int]:
    """The streams once the model's are there with so many copies: the operator makes them when it is connected."""
    for _ in range(60):
        found = await streams(release)
        ours = [name for name in found if name.endswith("_first")]
        if len(ours) == 2 and {found[name] for name in ours} == {copies}:
            return found
        shell.run(["sleep", "1"])
    raise AssertionError(f"no streams of the model with {copies} copies: {found}")


def claim(release: Release) -> str:
    found = release.cluster.get("pvc", "data-tailrace-nats-0", release.namespace)
    assert found is not None
    return str(found["metadata"]["uid"])


async def test_a_larger_volume_keeps_the_logs(release):
    before = await eventually(release, 1), claim(release)
    follow(release, "A larger volume", **{"size=40Gi": "size=2Gi"})
    release.cluster.wait_rollout("statefulset", "tailrace-nats", release.namespace)
    template = release.cluster.get("statefulset", "tailrace-nats", release.namespace)["spec"]["volumeClaimTemplates"][0]
    assert template["spec"]["resources"]["requests"]["storage"] == "2Gi"
    assert claim(release) == before[1]
    assert {name for name in before[0] if name.startswith("KV_")} <= set(await streams(release))


async def test_new_passwords_reach_operator_nats_and_models(release):
    before = release.cluster.get("secret", "tailrace-nats-auth", release.namespace)["data"]
    follow(release, "New passwords")
    release.cluster.wait_rollout("statefulset", "tailrace-nats", release.namespace)
    after = release.cluster.get("secret", "tailrace-nats-auth", release.namespace)["data"]
    assert all(before[key] != after[key] for key in before)
    assert await eventually(release, 1)
    [team] = [found for found in release.cluster.objects("secrets") if found["metadata"]["name"] == "tailrace-nats"]
    assert team["data"]["worker"] == after["worker"]
    assert "ok      broker_keeps_logs" in release.test()


async def test_from_one_server_to_three_models_get_their_streams_anew(release):
    follow(release, "From one NATS server to three")
    release.cluster.wait_rollout("statefulset", "tailrace-nats", release.namespace, 200)
    assert await eventually(release, 3)
    assert "ok      broker_keeps_logs" in release.test()
