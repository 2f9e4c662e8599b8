"""The results of rendering, as values."""

from dataclasses import dataclass
from typing import Any

from tailrace_operator.render.objects import BrokerObjects

#: A Kubernetes object, as it would stand in a YAML file.
Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Rendered:
    """All that must exist for one model, in the order of making.

    `fetch` is the Job that fills the model's cache, and `prepare` what it needs (settings, volume). Workers serve from
    the cache, so `manifests` wait until the Job is done. The Job's name holds a digest of all that it is made of:
    another source or another image is another Job.
    """

    manifests: tuple[Manifest, ...]
    broker: BrokerObjects
    prepare: tuple[Manifest, ...] = ()
    fetch: Manifest | None = None
