"""Changes to pods that are taken, and those that would take away what Tailrace needs."""

import pytest
from pydantic import ValidationError
from tailrace_operator.resources import StreamingModel

LABEL = "a label's key must be a name"


def refusals(document):
    with pytest.raises(ValidationError) as caught:
        StreamingModel.parse(document)
    return "; ".join(error["msg"] for error in caught.value.errors())


@pytest.mark.parametrize(
    "pod",
    [
        {"labels": {"team": "a", "example.com/cost-center": "", "a" * 63: "b"}},
        {"annotations": {"example.com/x": "anything: {}"}},
        {"containers": [{"name": "worker-logs", "image": "x", "resources": {"limits": {"cpu": 1}}}]},
        {"containers": [{"name": "my-worker"}], "initContainers": [{"name": "prefetch", "restartPolicy": "Always"}]},
        {"volumes": [{"name": "mine", "emptyDir": {}}, {"name": "x-tailrace-config"}]},
        {"volumeMounts": [{"name": "mine", "mountPath": "/data"}, {"name": "mine", "mountPath": "/tmp/x"}]},
        {"volumeMounts": [{"name": "mine", "mountPath": "/etc/tailrace-other"}]},
        {"env": [{"name": "A", "value": ""}, {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}]},
        {"affinity": {"nodeAffinity": {}}, "topologySpreadConstraints": [{"maxSkew": 1}]},
        {"tolerations": [{"operator": "Exists"}]},
        {"image": "registry/worker@sha256:abc", "priorityClassName": "high", "serviceAccountName": "a.b"},
    ],
)
def test_changes_that_are_taken(make, pod):
    assert make.model(pod=pod)
    assert make.gateway(pod=pod)


@pytest.mark.parametrize(
    ("pod", "says"),
    [
        ({"labels": {"app.kubernetes.io/name": "x"}}, "are Tailrace's own: choose other keys"),
        ({"labels": {"app.kubernetes.io/instance": "x"}}, "are Tailrace's own: choose other keys"),
        ({"labels": {"tailrace.dev/model": "x"}}, "are Tailrace's own: choose other keys"),
        ({"labels": {"a b": "x"}}, LABEL),
        ({"labels": {"a" * 64: "x"}}, LABEL),
        ({"labels": {"A/b": "x"}}, LABEL),
        ({"labels": {"a": "b c"}}, "pattern"),
        ({"annotations": {"tailrace.dev/config": "x"}}, "annotations tailrace.dev/… are Tailrace's own"),
        ({"containers": [{"name": "worker", "command": ["sh"]}]}, "containers named worker, gateway or fetch-…"),
        ({"containers": [{"name": "gateway"}]}, "containers named worker, gateway or fetch-…"),
        ({"containers": [{"name": "fetch-model"}]}, "containers named worker, gateway or fetch-…"),
        ({"initContainers": [{"name": "fetch-model"}]}, "containers named worker, gateway or fetch-…"),
        ({"containers": [{"image": "x"}]}, "name is required"),
        ({"containers": [{"name": "a"}, {"name": "a"}]}, "name 'a' is there twice: rename one"),
        ({"containers": ["a"]}, "must be an object"),
        ({"volumes": [{"name": "tailrace-config"}]}, "volumes named tailrace-… are Tailrace's own"),
        ({"volumeMounts": [{"name": "a", "mountPath": "/tmp"}]}, "mountPath must not be"),
        ({"volumeMounts": [{"name": "a", "mountPath": "/tmp/"}]}, "mountPath must not be"),
        ({"volumeMounts": [{"name": "a", "mountPath": "/"}]}, "mountPath must not be"),
        ({"volumeMounts": [{"name": "a", "mountPath": "/dev/shm"}]}, "mountPath must not be"),
        ({"volumeMounts": [{"name": "a", "mountPath": "/etc/tailrace"}]}, "mountPath must not be"),
        ({"volumeMounts": [{"name": "a", "mountPath": "/etc/tailrace/x"}]}, "mountPath must not be"),
        ({"volumeMounts": [{"name": "a", "mountPath": "/downloads/x"}]}, "mountPath must not be"),
        ({"volumeMounts": [{"name": "a", "mountPath": "data"}]}, "pattern"),
        ({"env": [{"name": "A"}]}, "set exactly one of value and valueFrom"),
        ({"env": [{"name": "A", "value": "", "valueFrom": {}}]}, "set exactly one of value and valueFrom"),
        ({"env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]}, "name 'A' is there twice"),
        ({"tolerations": [{"effect": "Never"}]}, "pattern"),
        ({"nodeName": "x"}, "not permitted"),
    ],
)
def test_changes_that_are_refused(make, pod, says):
    assert says in refusals(make.document(pod=pod))
    with pytest.raises(ValidationError, match="validation error"):
        make.gateway(pod=pod)
