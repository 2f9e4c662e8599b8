"""`make cluster` and `make cluster-down`, as a person uses them."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace

import playground
import pytest
from harness import launch, shell
from harness.errors import CommandError
from harness.instances import FROM_VARIABLE, MOST
from harness.supervisor import SOCKET

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def person() -> Iterator[Mapping[str, str]]:
    """The environment of a person who has no other clusters: `cluster-down` would end them."""
    launch.require_full_nodes()
    folder = tempfile.mkdtemp(prefix="tailrace-", dir="/var/tmp")
    yield {**os.environ, "TAILRACE_CLUSTER_DIR": folder, FROM_VARIABLE: str(MOST - 2)}
    shutil.rmtree(folder, ignore_errors=True)


def make(target: str, environment: Mapping[str, str]) -> str:
    return shell.output(["make", "--no-print-directory", target], cwd=ROOT, env=environment, timeout_s=300)


def shown(said: str) -> str:
    """The commands to begin with, as they can be pasted."""
    found = re.search(r"In this shell:\n(.*?)\nWhile it streams", said, re.DOTALL)
    assert found is not None, said
    return found[1]


@pytest.mark.timeout(400)
@pytest.mark.usefixtures("node_images")
def test_a_cluster_to_play_with_serves_a_model_and_goes_without_a_trace(person):
    folder = Path(person["TAILRACE_CLUSTER_DIR"])
    try:
        commands = shown(make("cluster", person))
        nodes = len(list(folder.glob(f"*/*/{SOCKET}")))
        printed = shell.output(["bash", "-euc", commands], env=person, timeout_s=60)
    finally:
        ended = make("cluster-down", person)
    assert nodes == 2
    assert "simulated-worker" in printed
    assert len(re.findall(r'^data: {"id"', printed, re.MULTILINE)) > 100
    assert printed.rstrip().endswith("data: [DONE]")
    assert re.search(r"cluster \d+ ended", ended)
    assert not folder.exists()


def test_a_cluster_whose_installation_failed_says_how_to_look_and_how_to_end_it(monkeypatch, capsys):
    def fail(*_: object, **__: object) -> None:
        raise CommandError("helm ended with status 1")

    broken = SimpleNamespace(kubectl=fail, kubeconfig=Path("/c/admin.kubeconfig"), kubectl_path=Path("/bin/kubectl"))
    monkeypatch.setattr(playground, "node_images", list)
    monkeypatch.setattr(launch, "start", lambda *_, **__: broken)
    monkeypatch.setattr("sys.argv", ["playground", "up"])
    assert playground.main() == 1
    said = capsys.readouterr().err
    assert "helm ended with status 1" in said
    assert "KUBECONFIG=/c/admin.kubeconfig" in said
    assert "make cluster-down" in said
