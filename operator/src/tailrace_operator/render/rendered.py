"""The results of rendering, as values."""

from dataclasses import dataclass
from typing import Any

from tailrace_operator.render.objects import BrokerObjects

#: A Kubernetes object, as it would stand in a YAML file.
Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Rendered:
    """All that must exist for one model."""

    manifests: tuple[Manifest, ...]
    broker: BrokerObjects
