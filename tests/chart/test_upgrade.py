"""Upgrades that would lose logs, or that Kubernetes would refuse halfway, are refused before anything changes."""

import copy

import pytest
import yaml

from . import api_server
from .helm import CHART, ROOT, RefusedError

NAMESPACE = "tailrace-system"
PAGE = (ROOT / "docs" / "upgrade.md").read_text()
EXTERNAL = {"nats": {"enabled": False, "external": {"servers": ["nats://a:4222"]}}}
FAST = {"storageClassName": "fast", "annotations": {"example.com/backup": "daily"}}


def pvc(**values):
    return {"nats": {"jetstream": {"fileStore": {"pvc": values}}}}


def upgrade(helm, running, values, release="tailrace"):
    """Render an upgrade of a release beside StatefulSets that run; Helm sees them through a server of ours."""
    known = [*helm.template(), *helm.template(files=(CHART / "ci" / "everything.yaml",))]
    with api_server.serving(known, running, NAMESPACE) as address:
        return helm.run(
            "template", release, CHART, f"--namespace={NAMESPACE}", "--is-upgrade", "--dry-run=server",
            "--disable-openapi-validation", f"--kube-apiserver={address}", "--values=-", stdin=yaml.safe_dump(values),
        )  # fmt: skip


def nats_of(helm, values=None, **how):
    """What the API server holds of NATS after an installation with these values."""
    return helm.template(values, **how).one("StatefulSet")


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        ({}, EXTERNAL, "nats.enabled: the StatefulSet tailrace-nats of this release runs and has the logs"),
        (
            {},
            {"fullnameOverride": "streams"},
            "nameOverride, fullnameOverride: NATS runs as tailrace-nats and would begin anew as streams-nats",
        ),
        ({}, {"nameOverride": "llm"}, "NATS runs as tailrace-nats and would begin anew as tailrace-llm-nats"),
        (
            {"fullnameOverride": "streams"},
            {"fullnameOverride": "streams", "nameOverride": "llm"},
            "nameOverride: Kubernetes refuses to change the label app.kubernetes.io/name of running pods",
        ),
        ({}, {"nats": {"replicas": 3}}, "nats.replicas: 1 servers run, and 3 are wanted: logs do not move along"),
        ({"nats": {"replicas": 3}}, {}, "nats.replicas: 3 servers run, and 1 are wanted"),
        ({}, pvc(enabled=False), "nats.jetstream.fileStore.pvc.enabled: cannot be changed while NATS runs"),
        (pvc(enabled=False), {}, "nats.jetstream.fileStore.pvc.enabled: cannot be changed while NATS runs"),
        ({}, pvc(size="40Gi"), "pvc.size: Kubernetes refuses to change it from 20Gi to 40Gi"),
        ({}, pvc(storageClassName="fast"), 'storageClassName: Kubernetes refuses to change it from "" to "fast"'),
        (pvc(**FAST), pvc(annotations=FAST["annotations"]), 'storageClassName: Kubernetes refuses to change it from'),
        (pvc(**FAST), pvc(storageClassName="fast"), 'annotations: Kubernetes refuses to change it from {"example.com'),
    ],
    ids=["external", "full name", "name", "label", "three", "one", "no volume", "volume", "size", "class",
         "default class", "annotations"],
)  # fmt: skip
def test_what_would_lose_logs_or_fail_halfway_is_refused(helm, before, after, sentence):
    with pytest.raises(RefusedError) as refusal:
        upgrade(helm, [nats_of(helm, before)], after)
    assert sentence in str(refusal.value)


def test_a_refusal_leads_to_a_chapter_that_is_there(helm):
    templates = (CHART / "templates" / "_upgrade.tpl").read_text()
    named = ["To a NATS that you run", "From one NATS server to three", "A larger volume", "Another kind of volume"]
    for heading in named:
        assert f'"{heading}' in templates
        assert f"\n## {heading}\n" in PAGE


@pytest.mark.parametrize(
    "values",
    [{}, {"nats": {"replicas": 3}}, pvc(enabled=False), pvc(**FAST), pvc(size="2Ti"), {"fullnameOverride": "streams"}],
    ids=["defaults", "three", "no volume", "class", "size", "name"],
)
def test_an_upgrade_that_leaves_nats_as_it_is_goes_on(helm, values):
    assert "kind: StatefulSet" in upgrade(helm, [nats_of(helm, values)], values)


def test_a_volume_of_the_same_size_in_other_words_is_the_same(helm):
    running = copy.deepcopy(nats_of(helm))
    running["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"] = "20480Mi"
    assert upgrade(helm, [running], {})


def test_others_statefulsets_and_other_releases_are_none_of_ours(helm):
    other = nats_of(helm, release="other")
    foreign = {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "tailrace-nats-box"}, "spec": {}}
    assert upgrade(helm, [other, foreign], EXTERNAL)


def test_without_nats_there_is_nothing_to_lose(helm):
    assert upgrade(helm, [], EXTERNAL)
    assert upgrade(helm, [], {"nats": {"replicas": 3}})
