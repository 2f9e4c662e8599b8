"""Pods: what all of them have (security, grace, temporary files), their probes, and the Deployment around them."""

import copy
import math

from tailrace_operator.render.metadata import selector
from tailrace_operator.render.rendered import Manifest
from tailrace_operator.render.settings import RenderSettings
from tailrace_operator.resources.pod import VOLUME_PREFIX

#: User and group of every process of ours; what volumes hold is made readable for the group.
USER_ID = 65532
#: A worker says in its reports which pod it is; a host name may be cut short.
NAME: Manifest = {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
#: What a pod may take beyond its own deadline before it is killed, in seconds.
GRACE_MARGIN_S = 15
#: What a container has no home for: its user has no entry, and its root file system is read-only.
HOME = ({"name": "HOME", "value": "/tmp"}, {"name": "USER", "value": "tailrace"})  # noqa: S108 - in the pod
#: Versions of a Deployment that are kept to go back to.
_HISTORY = 3
#: A path is mounted by a volume and a mount of the same name.
Mounted = tuple[Manifest, Manifest]


def container(name: str, image: str, command: list[str], mounts: list[Manifest], settings: RenderSettings) -> Manifest:
    """A container of ours, which may do nothing but run its program."""
    return {
        "name": name,
        "image": image,
        "imagePullPolicy": settings.image_pull_policy,
        "command": command,
        "volumeMounts": mounts,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }


def pod(main: Manifest, volumes: list[Manifest], deadline_s: float, settings: RenderSettings) -> Manifest:
    """A pod around its main container, which is given its own deadline and a margin before it is killed."""
    spec: Manifest = {
        "containers": [main],
        "volumes": volumes,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER_ID,
            "runAsGroup": USER_ID,
            "fsGroup": USER_ID,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "terminationGracePeriodSeconds": math.ceil(deadline_s) + GRACE_MARGIN_S,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        # As process 1 a program ignores every signal that it does not handle yet: told to stop while it still starts,
        # it would stay for its whole grace period. And somebody must reap what an engine leaves behind.
        "shareProcessNamespace": True,
    }
    secrets = [{"name": name} for name in settings.image_pull_secrets]
    return spec | ({"imagePullSecrets": secrets} if secrets else {})


def template(described: Manifest, spec: Manifest, digest: str) -> Manifest:
    """The template of pods with the labels of their parent. They are replaced when `digest` changes."""
    return {
        "metadata": {"labels": dict(described["labels"]), "annotations": {"tailrace.dev/config": digest}},
        "spec": spec,
    }


def deployment(described: Manifest, replicas: int, pods: Manifest, strategy: Manifest, progress_s: float) -> Manifest:
    """A Deployment; a rollout that makes no progress for `progress_s` seconds is reported as stalled."""
    spec = {
        "replicas": replicas,
        "selector": {"matchLabels": selector(described)},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": strategy},
        "progressDeadlineSeconds": math.ceil(progress_s),
        "revisionHistoryLimit": _HISTORY,
        "template": pods,
    }
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": copy.deepcopy(described), "spec": spec}


def disruption_budget(described: Manifest, at_once: int | str = 1) -> Manifest:
    """How many of these pods a drained node evicts at once. Pods that do not serve hold it up no longer."""
    spec = {
        "maxUnavailable": at_once,
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
        "selector": {"matchLabels": selector(described)},
    }
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": copy.deepcopy(described),
        "spec": spec,
    }


def probe(path: str, port: str, *, every_s: int, failures: int, timeout_s: int = 2) -> Manifest:
    """An HTTP probe that gives up after `failures` in a row."""
    return {
        "httpGet": {"path": path, "port": port},
        "periodSeconds": every_s,
        "timeoutSeconds": timeout_s,
        "failureThreshold": failures,
    }


def temporary() -> Mounted:
    """Room for temporary files: the root file system cannot be written to."""
    name = f"{VOLUME_PREFIX}tmp"
    return {"name": name, "emptyDir": {}}, {"name": name, "mountPath": "/tmp"}  # noqa: S108 - in the pod
