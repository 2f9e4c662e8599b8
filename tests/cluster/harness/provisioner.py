"""Gives PersistentVolumeClaims of the default class what they ask for: a folder of this machine, on every node alike.

The volumes are `local` ones rather than hostPath, because the kubelet then honours `fsGroup`, as it does for volumes of
real clusters; all nodes see the same folders, so ReadWriteMany is true. It runs in the cluster's sandbox; folders go
when their claim goes.
"""

import json
import os
import shutil
import sys
import threading
import time
from pathlib import Path
from typing import Any

from . import shell
from .system import PROVISIONER
from .watching import RECONNECT_S, events

ANNOTATION = "volume.kubernetes.io/storage-provisioner"
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
WATCHED = ("persistentvolumeclaims", "persistentvolumes")
EVERYWHERE = [{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "Exists"}]}]
Object = dict[str, Any]


def volume_for(claim: Object, folder: Path) -> Object:
    """The volume that is bound to this claim and no other."""
    name = f"pvc-{claim['metadata']['uid']}"
    reference = {key: claim["metadata"][key] for key in ("namespace", "name", "uid", "resourceVersion")}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name, "annotations": {PROVISIONED_BY: PROVISIONER}},
        "spec": {
            "accessModes": claim["spec"]["accessModes"],
            "capacity": {"storage": claim["spec"]["resources"]["requests"]["storage"]},
            "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", **reference},
            "local": {"path": str(folder / name)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": EVERYWHERE}},
            "persistentVolumeReclaimPolicy": "Delete",
            "storageClassName": claim["spec"]["storageClassName"],
            "volumeMode": "Filesystem",
        },
    }


def wants_volume(seen: Object) -> bool:
    """Whether this is a claim of our class that nothing is bound to."""
    ours = seen["metadata"].get("annotations", {}).get(ANNOTATION) == PROVISIONER
    return ours and seen["kind"] == "PersistentVolumeClaim" and not seen["spec"].get("volumeName")


def is_released(seen: Object) -> bool:
    """Whether this is a volume of ours whose claim is gone."""
    ours = seen["metadata"].get("annotations", {}).get(PROVISIONED_BY) == PROVISIONER
    return ours and seen["kind"] == "PersistentVolume" and seen.get("status", {}).get("phase") == "Released"


def handle(seen: Object, folder: Path, kubectl: str) -> None:
    """Do what an object's state asks for; a failure is told, and the next watch brings the object again."""
    if wants_volume(seen):
        volume = volume_for(seen, folder)
        Path(volume["spec"]["local"]["path"]).mkdir(parents=True, exist_ok=True)
        made = shell.run([kubectl, "create", "-f", "-"], stdin=json.dumps(volume), check=False)
        print(made.stdout or made.stderr, flush=True)
    elif is_released(seen):
        name = seen["metadata"]["name"]
        shutil.rmtree(folder / name, ignore_errors=True)
        shell.run([kubectl, "delete", "persistentvolume", name, "--ignore-not-found", "--wait=false"], check=False)


def serve(kind: str, folder: Path, kubectl: str) -> None:
    """Handle every change of a kind's objects, until killed; a watch that ends is begun again."""
    command = [kubectl, "get", kind, "-A", "--watch", "--output-watch-events", "-o", "json"]
    while True:
        with events(command, os.environ) as changes:
            while (event := changes.get()) is not None:
                if event["type"] != "DELETED":
                    handle(event["object"], folder, kubectl)
        time.sleep(RECONNECT_S)


if __name__ == "__main__":
    for watched in WATCHED:
        threading.Thread(target=serve, args=(watched, Path(sys.argv[1]), os.environ["KUBECTL"])).start()
