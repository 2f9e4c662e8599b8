"""What the harness does where it cannot do its usual: no Go, no root, somebody else's cluster, programs that fail."""

import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import assets, binaries, cache, external, images, instances, launch, packages, shell, stores
from harness.cluster import API, NODE, Cluster
from harness.errors import CommandError, HarnessError, UnavailableError
from operator_stack import install_crds, simulated

ROOT = Path(__file__).resolve().parents[2]
API_TEST = "test_server_side_apply_keeps_the_fields_of_two_managers_apart"


def run_tests(chosen: str, file: str = "test_harness.py", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run tests of the harness, or of another file, as a user would."""
    paths = "pythonpath=tests/support tests/cluster"
    command = [sys.executable, "-m", "pytest", "-rs", "-o", paths, f"tests/cluster/{file}", "-k", chosen]
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )


def test_without_go_the_tests_say_that_they_did_not_run_and_what_to_do(tmp_path):
    done = run_tests(API_TEST, PATH="/usr/bin:/bin", TAILRACE_CACHE=str(tmp_path), CI="")
    assert done.returncode == 0
    assert "1 skipped" in done.stdout
    assert "go is not on PATH" in done.stdout
    assert "To run them" in done.stdout


def test_without_go_the_tests_fail_in_ci(tmp_path):
    done = run_tests(API_TEST, PATH="/usr/bin:/bin", TAILRACE_CACHE=str(tmp_path), CI="true")
    assert done.returncode == 1
    assert "go is not on PATH" in done.stdout


@pytest.fixture
def theirs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A cluster that the tests know by its kubeconfig alone."""
    cluster = launch.start(API)
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
    monkeypatch.delenv(external.MINE_VARIABLE, raising=False)
    yield cluster
    cluster.stop()


def everything(cluster: Cluster) -> set[tuple[str, str]]:
    """What the tests might leave in a cluster, or take from it."""
    kinds = "namespaces,customresourcedefinitions,clusterroles,clusterrolebindings"
    return {(found["kind"], found["metadata"]["uid"]) for found in cluster.objects(kinds)}


def test_with_a_kubeconfig_its_cluster_is_used_not_broken_and_left_as_it_was(theirs):
    before = everything(theirs)
    done = run_tests(f"{API_TEST} or a_wait_survives")
    assert "1 passed, 1 skipped" in done.stdout, done.stdout
    assert "stopping the API server needs a cluster of the harness's own: unset KUBECONFIG" in done.stdout
    done = run_tests("gets_its_children", "test_operator.py")
    assert "1 passed" in done.stdout, done.stdout
    assert everything(theirs) == before


def test_a_cluster_that_has_tailrace_is_refused_unless_it_is_there_for_the_tests(theirs):
    install_crds(theirs)
    theirs.apply(simulated("precious"), "default")
    before = everything(theirs), theirs.get("sm", "precious", "default")
    done = run_tests("gets_its_children", "test_operator.py", CI="")
    assert "1 skipped" in done.stdout, done.stdout
    assert "has Tailrace already (streaminggateways.tailrace.dev, streamingmodels.tailrace.dev)" in done.stdout
    assert "TAILRACE_TEST_CLUSTER_IS_MINE=yes" in done.stdout
    assert run_tests("gets_its_children", "test_operator.py", CI="true").returncode == 1
    assert (everything(theirs), theirs.get("sm", "precious", "default")) == before

    done = run_tests("gets_its_children", "test_operator.py", TAILRACE_TEST_CLUSTER_IS_MINE="yes")
    assert "1 passed" in done.stdout, done.stdout
    assert everything(theirs) == before[0]
    assert theirs.get("sm", "precious", "default"), "nothing is deleted but in the tests' own namespaces"


def test_what_runs_on_nodes_says_how_they_get_its_images(node, monkeypatch):
    node.require_own("being somebody else's cluster")
    monkeypatch.delenv(external.LOAD_VARIABLE, raising=False)
    settings = {"KUBECONFIG": str(node.kubeconfig), external.MINE_VARIABLE: "yes"}
    done = run_tests("missing_is_named_and_waited", "test_worker_faults.py", **settings)
    assert re.search(r"= [1-9]\d* skipped, \d+ deselected in", done.stdout), f"some, and all skipped:\n{done.stdout}"
    assert "set TAILRACE_LOAD_IMAGE to the command that loads an archive" in done.stdout


@pytest.mark.timeout(300)
def test_the_operators_tests_pass_on_a_cluster_with_nodes(node):
    node.require_own("being somebody else's cluster")
    settings = {"KUBECONFIG": str(node.kubeconfig), external.MINE_VARIABLE: "yes"}
    done = run_tests("gets_its_children or foreign_deployment or edited_child", "test_operator.py", **settings)
    assert "3 passed" in done.stdout, done.stdout


def test_nodes_are_not_tried_without_root(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(UnavailableError, match="run this as root"):
        launch.start(NODE)


def test_missing_packages_are_named_where_they_cannot_be_installed(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(UnavailableError, match="apt-get install --no-install-recommends one two"):
        packages.require({"no-such-program-1": "one", "no-such-program-2": "two", "sh": "dash"})


def test_the_binaries_of_kubebuilder_assets_are_used(monkeypatch, tmp_path):
    for name in ("etcd", "kube-apiserver"):
        (tmp_path / name).symlink_to(assets.find_one(name))
    monkeypatch.setenv(assets.VARIABLE, str(tmp_path))
    cluster = launch.start(API)
    try:
        commands = [Path(f"/proc/{pid}/cmdline").read_text() for pid in cluster.sandbox.processes()]
    finally:
        cluster.stop()
    programs = {command.partition("\0")[0] for command in commands}
    assert {str(tmp_path / "etcd"), str(tmp_path / "kube-apiserver")} <= programs


def test_a_cluster_that_does_not_come_up_says_why_keeps_its_logs_and_goes(monkeypatch, tmp_path):
    broken = tmp_path / "etcd"
    broken.write_text("#!/bin/sh\necho the disk is full\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv(assets.VARIABLE, str(tmp_path))
    monkeypatch.setenv("TAILRACE_CLUSTER_DIR", str(tmp_path / "clusters"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(HarnessError, match="etcd ended") as raised:
        launch.start(API)
    logs = Path(raised.value.__notes__[0].removeprefix("logs of all components: "))
    assert (logs / "etcd.log").read_text() == "the disk is full\n"
    assert not (tmp_path / "clusters").exists()


def test_a_kubectl_that_hangs_is_ended(api):
    with pytest.raises(CommandError, match="took longer than 1 s"):
        api.kubectl("get", "namespaces", "--watch", timeout_s=1)


def test_an_image_from_a_dockerfile_runs_in_a_pod(cluster: Cluster, namespace: str, tmp_path: Path):
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text("ARG BASE\nFROM ${BASE}\nARG WORD\nRUN echo $WORD > /word\nUSER 65532\nCMD cat /word\n")
    tag = "localhost/harness-probe:test"
    arguments = {"BASE": images.BASE, "WORD": "hello"}
    cluster.load_image(images.build(dockerfile, tmp_path, tag, key=cache.key(dockerfile), build_args=arguments))
    spec = {"containers": [{"name": "main", "image": tag}], "restartPolicy": "Never"}
    cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe"}, "spec": spec}, namespace)
    cluster.wait("pod", "probe", namespace, lambda seen: seen["status"].get("phase") == "Succeeded")
    assert cluster.pod_logs("probe", namespace) == "hello\n"


def test_an_image_that_does_not_build_says_what_failed(tmp_path):
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text("ARG BASE\nFROM ${BASE}\nRUN echo no such luck >&2; exit 3\n")
    with pytest.raises(CommandError, match="no such luck"):
        images.build(dockerfile, tmp_path, "localhost/never:test", key="never", build_args={"BASE": images.BASE})


def test_a_store_of_images_is_made_without_a_trace_in_the_working_directory(monkeypatch, tmp_path):
    """containerd makes the folders that its configuration names, wherever that is."""
    launch.require_full_nodes()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    (tmp_path / "store").mkdir()
    stores.extend(tmp_path / "store", None, images.pause())
    assert list((tmp_path / "store" / stores.CONTAINERD).glob("io.containerd.metadata.*/meta.db"))
    assert list((tmp_path / "here").iterdir()) == []


def test_two_that_want_the_same_entry_make_it_once(monkeypatch, tmp_path):
    monkeypatch.setenv("TAILRACE_CACHE", str(tmp_path))
    made, going_on = [], threading.Event()

    def make(draft: Path) -> None:
        made.append(draft)
        going_on.wait(5)
        (draft / "file").write_text("whole")

    threads = [threading.Thread(target=cache.entry, args=("kind", "name", make)) for _ in range(3)]
    for thread in threads:
        thread.start()
    going_on.set()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert (cache.entry("kind", "name", make) / "file").read_text() == "whole"


def test_an_interrupted_build_leaves_no_entry(monkeypatch, tmp_path):
    monkeypatch.setenv("TAILRACE_CACHE", str(tmp_path))

    def make(draft: Path) -> None:
        (draft / "half").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.entry("kind", "name", make)
    assert [path.name for path in (tmp_path / "tailrace" / "kind").iterdir()] == [".name.lock"]


def test_long_unused_entries_make_room_for_new_ones_of_their_name(monkeypatch, tmp_path):
    monkeypatch.setenv("TAILRACE_CACHE", str(tmp_path))
    places = [cache.entry("kind", f"name-{number}", lambda draft: None) for number in range(1, 6)]
    hour_ago = time.time() - cache.UNUSED_S - 1
    for place in places[:4]:
        os.utime(place, (hour_ago, hour_ago))
    os.utime(places[0])
    newest = cache.entry("kind", "name-6", lambda draft: None)
    assert sorted(path for path in (tmp_path / "tailrace" / "kind").glob("name-*")) == [places[0], places[4], newest]


def test_a_changed_go_sum_is_another_build():
    module = next(module for module in binaries.MODULES if module.name == "etcd")
    changed = cache.key(module.folder / "go.mod", "changed", module.folder / "main.go", *module.ldflags)
    assert module.key != changed
    assert module.key == cache.key(*(module.folder / name for name in binaries.SOURCES), *module.ldflags)


@pytest.mark.parametrize(
    ("route", "free"),
    [
        ("10.130.4.0/24", False),
        ("10.0.0.0/8", True),
        ("default", True),
        ("10.131.0.0/16", True),
        ("10.128.0.0/12", False),
    ],
)
def test_addresses_in_use_are_left_alone(monkeypatch, route, free):
    monkeypatch.setattr(shell, "output", lambda *_: json.dumps([{"dst": route}]))
    assert instances.is_free("10.130.0.0/16") is free


def test_a_number_is_held_by_one_at_a_time(monkeypatch, tmp_path):
    monkeypatch.setenv("TAILRACE_CLUSTER_DIR", str(tmp_path / "clusters"))
    taken = [instances.take(network=False) for _ in range(2)]
    assert [instance.number for instance, _ in taken] == [0, 1]
    assert [instance.number for instance in instances.running()] == [0, 1]
    for instance, lock in taken:
        instance.remove_leftovers()
        instances.release(instance, lock)
    assert not (tmp_path / "clusters").exists()


def test_clusters_in_another_folder_share_no_name_with_those_of_the_same_number(monkeypatch, tmp_path):
    usual = instances.Instance(0)
    names = {usual.interface, usual.cgroup_prefix}
    monkeypatch.setenv("TAILRACE_CLUSTER_DIR", str(tmp_path))
    other = instances.Instance(0)
    assert names.isdisjoint({other.interface, other.cgroup_prefix})
    assert len(instances.Instance(instances.MOST - 1).interface) <= 15, "Linux takes no longer names"
