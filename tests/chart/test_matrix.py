"""What holds for every object under every set of values in charts/tailrace/ci, one of which switches everything on."""

import re

import kubernetes_validate
import pytest

from . import pod_security
from .helm import CASES, CHART

#: The oldest version that the chart admits, the one of the cluster tests, and the newest that there are schemas for.
KUBERNETES = ("1.30", "1.34", "1.37")
#: Kinds that are defined by CustomResourceDefinitions, or are those: the cluster tests have the API server check them.
FOREIGN = ("monitoring.coreos.com/", "gateway.networking.k8s.io/", "apiextensions.k8s.io/")
CLUSTER_SCOPED = ("ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition")
RECOMMENDED = ("name", "instance", "component", "managed-by", "part-of", "version")
NAME = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")


@pytest.fixture(params=CASES, ids=lambda path: path.stem)
def objects(request, helm):
    return helm.template(files=(request.param,))


def ours(objects):
    """What the chart itself makes: neither CustomResourceDefinitions nor an admin's extra objects."""
    return [
        item
        for item in objects
        if item["kind"] != "CustomResourceDefinition" and "extra" not in item["metadata"]["name"]
    ]


@pytest.mark.parametrize("version", KUBERNETES)
def test_every_object_obeys_the_schema_of_its_kind(objects, version):
    known = [item for item in objects if not item["apiVersion"].startswith(FOREIGN)]
    assert known
    for item in known:
        kubernetes_validate.validate(item, version, strict=True)


def test_every_pod_passes_pod_security_restricted(objects):
    wrong = {name: found for name, (_, spec) in objects.pods().items() if (found := pod_security.complaints(spec))}
    assert wrong == {}


def test_no_container_can_write_to_its_image(objects):
    for _, spec in objects.pods().values():
        for container in pod_security.containers(spec):
            assert container["securityContext"]["readOnlyRootFilesystem"] is True


@pytest.mark.parametrize("case", [case for case in CASES if case.stem != "minimal"], ids=lambda path: path.stem)
def test_no_pod_runs_without_a_memory_limit_unless_the_admin_takes_it_away(helm, case):
    for name, (_, spec) in helm.template(files=(case,)).pods().items():
        assert "memory" in spec["containers"][0]["resources"]["limits"], name


def test_every_object_is_labelled_named_and_placed(objects):
    for item in ours(objects):
        described = item["metadata"]
        assert NAME.match(described["name"]), described["name"]
        assert len(described["name"]) <= 63
        assert all(f"app.kubernetes.io/{label}" in described["labels"] for label in RECOMMENDED), described
        assert ("namespace" in described) == (item["kind"] not in CLUSTER_SCOPED), described


def test_common_labels_and_annotations_are_on_every_object(helm):
    objects = helm.template({"commonLabels": {"team": "a"}, "commonAnnotations": {"who": "b"}})
    assert all(item["metadata"]["labels"]["team"] == "a" for item in ours(objects))
    assert all(item["metadata"]["annotations"]["who"] == "b" for item in ours(objects))


def test_no_two_objects_are_the_same(objects):
    identities = [(item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"]) for item in objects]
    assert len(set(identities)) == len(identities)


def test_selectors_find_their_own_pods_and_no_others(objects):
    pods = {name: described["labels"] for name, (described, _) in objects.pods().items()}
    for item in (*objects.of("Deployment"), *objects.of("StatefulSet"), *objects.of("Service")):
        selector = item["spec"]["selector"]
        wanted = selector.get("matchLabels", selector)
        chosen = {name for name, labels in pods.items() if wanted.items() <= labels.items()}
        component = item["metadata"]["labels"]["app.kubernetes.io/component"]
        assert len(chosen) == 1, item["metadata"]["name"]
        assert component in next(iter(chosen))


def test_rendering_twice_gives_the_same(helm):
    """Nothing is drawn at random: GitOps tools render anew every few minutes."""
    for case in CASES:
        command = ("template", "tailrace", CHART, f"--values={case}")
        assert helm.run(*command) == helm.run(*command)


def test_no_secret_is_rendered(objects):
    assert objects.none("Secret")


def test_the_longest_release_name_gives_valid_names(helm):
    objects = helm.template(files=(CHART / "ci" / "everything.yaml",), release="r" * 53)
    longest = helm.template({"nats": {"replicas": 3}}, release="r" * 53)
    for item in (*ours(objects), *ours(longest)):
        assert len(item["metadata"]["name"]) <= 63 - len("-0")
        assert NAME.match(item["metadata"]["name"])


def test_two_releases_in_two_namespaces_share_nothing(helm):
    def identities(release, watched):
        values = {"watchNamespaces": [watched], "crds": {"enabled": False}}
        objects = helm.template(values, release=release, namespace=f"{watched}-system")
        return {(item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"]) for item in objects}

    assert not identities("tailrace", "team-a") & identities("tailrace", "team-b")


def test_an_upgrade_of_the_chart_alone_replaces_no_pod_of_nats(objects):
    for name, (described, _) in objects.pods().items():
        if name.startswith("StatefulSet"):
            assert not {"helm.sh/chart", "app.kubernetes.io/version"} & set(described["labels"])
