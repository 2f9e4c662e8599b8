"""CustomResourceDefinitions go with their release, forward and back; what users have made of them stays."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import launch
from harness.cluster import API, Cluster
from harness.errors import CommandError
from releases import CHART, Release

CRDS = ("streamingmodels.tailrace.dev", "streaminggateways.tailrace.dev")


@pytest.fixture(scope="module")
def empty() -> Iterator[Cluster]:
    """A cluster that has no definition of ours yet; no pod runs here."""
    cluster = launch.start(API)
    yield cluster
    cluster.stop()


@pytest.fixture
def older(tmp_path: Path) -> Path:
    """The chart as it would be if gateways had no `heartbeat` yet."""
    chart = tmp_path / "older"
    shutil.copytree(CHART, chart)
    file = chart / "templates" / "crds" / "streaminggateways.tailrace.dev.yaml"
    text, cuts = re.subn(r"^( +)heartbeat:\n(?:\1 +.*\n)+", "", file.read_text(), flags=re.MULTILINE)
    assert cuts == 1
    file.write_text(text)
    return chart


def gateway(**spec: str) -> dict[str, object]:
    return {
        "apiVersion": "tailrace.dev/v1alpha1",
        "kind": "StreamingGateway",
        "metadata": {"name": "edge"},
        "spec": spec,
    }


def knows_heartbeat(cluster: Cluster) -> bool:
    definition = cluster.get("crd", CRDS[1], None) or {}
    spec = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return "heartbeat" in spec["properties"]


def test_definitions_go_forward_and_back_with_the_release_and_objects_stay(empty: Cluster, older: Path) -> None:
    with empty.namespace("tailrace", wait=False) as home, empty.namespace("team", wait=False) as team:
        release = Release(empty, home)
        release.helm("install", release.name, str(older))
        empty.wait_condition("crd", CRDS[1], None, "Established")
        empty.apply(gateway(), team)
        before = empty.get("sg", "edge", team)
        with pytest.raises(CommandError, match="field not declared in schema"):
            empty.apply(gateway(heartbeat="5s"), team)

        release.upgrade({})
        assert knows_heartbeat(empty)
        empty.wait("sg", "edge", team, lambda _: takes(empty, team), 30)
        after = empty.get("sg", "edge", team)
        assert after is not None
        assert before is not None
        assert after["metadata"]["uid"] == before["metadata"]["uid"]
        assert after["spec"]["heartbeat"] == "5s"

        release.rollback(1)
        assert not knows_heartbeat(empty)
        release.uninstall()
        for name in CRDS:
            assert empty.get("crd", name, None), "they are kept, and with them what users have made"
        assert empty.get("sg", "edge", team)

        release.install({"crds": {"keep": False}}, "--take-ownership")
        release.uninstall()
        for name in CRDS:
            empty.wait("crd", name, None, lambda seen: seen is None)


def takes(cluster: Cluster, namespace: str) -> bool:
    """Whether the API server knows the field; it reads a changed definition a moment later."""
    try:
        cluster.apply(gateway(heartbeat="5s"), namespace)
    except CommandError:
        return False
    return True
