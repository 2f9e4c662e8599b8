"""ConfigMaps named by their content."""

import copy
import re
from typing import Any

import pytest
from tailrace_operator.plan import in_use, versioned
from tailrace_operator.plan.versioned import config_maps_of

from .samples import manifest


def settings(content: str = "{}", name: str = "echo-worker") -> Any:
    return manifest("ConfigMap", name, data={"worker.json": content})


def pods(kind: str = "Deployment", config: str = "echo-worker") -> Any:
    volumes = [{"name": "tmp", "emptyDir": {}}, {"name": "config", "configMap": {"name": config}}]
    return manifest(kind, spec={"template": {"spec": {"volumes": volumes}}})


def names_of(rendered: Any) -> list[str]:
    return [m["metadata"]["name"] for m in rendered if m["kind"] == "ConfigMap"]


def mounted_by(rendered: Any) -> list[str]:
    templates = [m["spec"]["template"] for m in rendered if m["kind"] in ("Deployment", "Job")]
    return [name for template in templates for name in config_maps_of(template["spec"])]


def test_a_name_follows_its_content_and_the_pods_follow_the_name() -> None:
    first, second = versioned([settings("1"), pods()]), versioned([settings("2"), pods()])
    assert names_of(first) == mounted_by(first)
    assert names_of(second) == mounted_by(second)
    assert names_of(first) != names_of(second)
    assert re.fullmatch(r"echo-worker-[0-9a-f]{10}", names_of(first)[0])


def test_the_same_content_has_the_same_name_whatever_else_changes() -> None:
    relabelled = settings("1")
    relabelled["metadata"]["labels"] = {"a": "b"}
    assert names_of(versioned([settings("1")])) == names_of(versioned([relabelled]))


def test_a_versioned_config_map_cannot_be_edited() -> None:
    (config,) = versioned([settings()])
    assert config["immutable"] is True


def test_jobs_follow_too_and_each_its_own() -> None:
    rendered = versioned([settings("1"), settings("2", "echo-fetch"), pods(), pods("Job", "echo-fetch")])
    assert mounted_by(rendered) == names_of(rendered)
    assert mounted_by(rendered)[1].startswith("echo-fetch-")


def test_others_config_maps_and_pods_without_any_keep_their_names() -> None:
    service = manifest("Service", spec={"type": "ClusterIP"})
    bare = manifest("Deployment", spec={"template": {"spec": {}}})
    rendered = versioned([settings(), pods(config="somebody-elses"), service, bare])
    assert mounted_by(rendered) == ["somebody-elses"]
    assert rendered[2:] == (service, bare)


def test_what_was_rendered_is_left_as_it_is() -> None:
    given = [settings(), pods()]
    before = copy.deepcopy(given)
    versioned(given)
    assert given == before


def standing(replicas: int = 2, updated: int = 2, seen: int = 5, generation: int = 5, wanted: int = 2) -> Any:
    status = {"replicas": replicas, "updatedReplicas": updated, "observedGeneration": seen}
    found = manifest("Deployment", spec={"replicas": wanted}, status=status)
    found["metadata"]["generation"] = generation
    return found


def mounting(*names: str) -> Any:
    return manifest("Pod", "p", spec={"volumes": [{"name": n, "configMap": {"name": n}} for n in names]})


OLD, NEW = settings(name="old"), settings(name="new")


@pytest.mark.parametrize(
    ("deployments", "kept"),
    [
        ([standing()], {"new"}),
        ([standing(replicas=3)], {"old", "new"}),
        ([standing(replicas=3, updated=3)], {"old", "new"}),
        ([standing(updated=1)], {"old", "new"}),
        ([standing(seen=4)], {"old", "new"}),
        ([standing(0, 0, wanted=0)], {"new"}),
        ([], {"new"}),
    ],
)
def test_settings_are_in_use_while_pods_mount_them_or_an_unfinished_rollout_may_make_such_pods(
    deployments: Any, kept: set[str]
) -> None:
    found = in_use([OLD, NEW, manifest("Service", "new", spec={}), *deployments], [mounting("new", "somebody-elses")])
    assert {ref.name for ref in found} == kept
    assert {ref.kind for ref in found} == {"ConfigMap"}


def test_what_no_pod_mounts_is_not_in_use() -> None:
    assert in_use([OLD, NEW, standing()], []) == set()
