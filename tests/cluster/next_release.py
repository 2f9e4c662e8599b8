"""The release after this one, as a cluster sees it: the same images under other names, so that every pod is new."""

from pathlib import Path
from typing import Any

import tailrace_images
from harness import archive
from harness.cluster import Cluster
from releases import NATS_IMAGE, Values, nats_archive

TAG = "next"
_KEYS = {"operator": "operator", "gateway": "gateway", "fetcher": "fetcher", "worker-simulated": "workerSimulated"}


def load(cluster: Cluster, folder: Path) -> None:
    """Give every node the images; `folder` has room for their archives."""
    registry = tailrace_images.recipes().REGISTRY
    images = {f"{registry}/{name}": tailrace_images.archive(name) for name in tailrace_images.SMALL}
    images["{registry}/{repository}".format(**NATS_IMAGE)] = nats_archive()
    for number, (name, made) in enumerate(images.items()):
        file = archive.renamed(made, folder / f"{number}.tar", f"{name}:{TAG}")
        cluster.load_image(file)
        file.unlink()


def upgraded(values: Values) -> Values:
    """The values with which a release becomes the next one."""
    tags = {_KEYS[name]: {"tag": TAG} for name in tailrace_images.SMALL}
    return {**values, "images": tags, "nats": {**values["nats"], "image": {**NATS_IMAGE, "tag": TAG}}}


def runs(pod: dict[str, Any]) -> bool:
    """Whether all that the pod runs is of the next release."""
    return all(str(container["image"]).endswith(f":{TAG}") for container in pod["spec"]["containers"])
