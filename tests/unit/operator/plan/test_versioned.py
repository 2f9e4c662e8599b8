"""ConfigMaps named by their content."""

import copy
import re
from typing import Any

from tailrace_operator.plan import versioned
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
