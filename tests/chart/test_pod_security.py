"""The checker itself: it passes what is right, and names each thing that is not."""

import copy

import pytest

from .pod_security import complaints

RIGHT = {
    "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
    "volumes": [{"name": "a", "emptyDir": {}}, {"name": "b", "projected": {}}],
    "containers": [
        {
            "name": "c",
            "ports": [{"containerPort": 1}],
            "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        }
    ],
}


def changed(change):
    spec = copy.deepcopy(RIGHT)
    change(spec)
    return spec


def context(**values):
    return lambda spec: spec["containers"][0]["securityContext"].update(values)


WRONG = {
    "hostNetwork": lambda spec: spec.update(hostNetwork=True),
    "hostPath": lambda spec: spec["volumes"].append({"name": "h", "hostPath": {"path": "/"}}),
    "sysctls": lambda spec: spec["securityContext"].update(sysctls=[{"name": "a", "value": "b"}]),
    "privileged": context(privileged=True),
    "allowPrivilegeEscalation": lambda spec: spec["containers"][0]["securityContext"].pop("allowPrivilegeEscalation"),
    "runAsNonRoot": lambda spec: spec["securityContext"].pop("runAsNonRoot"),
    "runAsUser": context(runAsUser=0),
    "seccompProfile": lambda spec: spec["securityContext"].update(seccompProfile={"type": "Unconfined"}),
    "capabilities are dropped": context(capabilities={"drop": ["NET_RAW"]}),
    "capabilities are added": context(capabilities={"drop": ["ALL"], "add": ["SYS_ADMIN"]}),
    "host port": lambda spec: spec["containers"][0]["ports"][0].update(hostPort=1),
}


def test_a_pod_that_follows_all_rules_passes():
    assert complaints(RIGHT) == []


@pytest.mark.parametrize("named", WRONG)
def test_each_broken_rule_is_named(named):
    found = complaints(changed(WRONG[named]))
    assert len(found) == 1
    assert named in found[0]


def test_containers_that_run_before_the_others_are_checked_too():
    spec = changed(lambda spec: spec.update(initContainers=[{"name": "first", "securityContext": {}}]))
    assert {complaint.split(":")[0] for complaint in complaints(spec)} == {"first"}
