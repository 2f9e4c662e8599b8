"""What an admin changes about the pods: merged into what Tailrace makes, as `kubectl patch --type strategic` would.

Small parts are typed. Where Kubernetes owns the schema (affinity, volumes, containers) the object is taken as it is.
What Tailrace itself needs (its containers' commands, its volumes, the labels that select pods) cannot be taken away.
"""

import re
from typing import Annotated, Any

from pydantic import Field

from tailrace_operator.resources.block import Block, Rule
from tailrace_operator.resources.keyed import KeyedBy
from tailrace_operator.resources.metadata import GROUP
from tailrace_operator.resources.passthrough import ForeignObject, NamedObject

#: Labels that select pods, or name what made them.
RESERVED_LABELS = ("app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/managed-by")
#: The main containers; init containers of ours begin with FETCH_PREFIX.
RESERVED_CONTAINERS = ("worker", "gateway")
FETCH_PREFIX = "fetch-"
#: What every volume of ours begins with.
VOLUME_PREFIX = "tailrace-"
#: Directories that belong to our volumes, with all that is below them.
RESERVED_DIRECTORIES = ("/etc/tailrace", "/etc/tailrace-nats", "/downloads", "/volumes", "/models")
#: Directories that belong to our volumes, themselves alone.
RESERVED_MOUNTS = ("/", "/tmp", "/dev/shm")  # noqa: S108 - paths in pods

_LABEL_KEY = "([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_LABEL_VALUE = r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$"
_DNS_NAME = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"


class SecretReference(Block):
    """A Secret of the same namespace."""

    name: str = Field(pattern=_DNS_NAME, max_length=253, description="Name of the Secret.")


class PodEnvVar(Block):
    """One environment variable of the main container."""

    rules = (
        Rule(
            cel="has(self.value) != has(self.valueFrom)",
            message="set exactly one of value and valueFrom",
            holds=lambda variable: (variable.value is None) != (variable.value_from is None),
        ),
    )

    name: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=128, description="Name of the variable.")
    value: Annotated[str, Field(max_length=4096)] | None = Field(default=None, description="Its value.")
    value_from: ForeignObject | None = Field(
        default=None, description="Where the value comes from (secretKeyRef, configMapKeyRef, fieldRef, …)."
    )


class VolumeMount(Block):
    """Where a volume appears in the main container."""

    name: str = Field(min_length=1, max_length=63, description="Name of the volume.")
    mount_path: str = Field(pattern=r"^/[^:]*$", max_length=512, description="Absolute path in the container.")
    sub_path: Annotated[str, Field(max_length=512)] | None = Field(
        default=None, description="Path in the volume. Default: its root."
    )
    read_only: bool = Field(default=False, description="Whether the container cannot write to it.")


class Toleration(Block):
    """A taint of nodes that the pod tolerates."""

    key: Annotated[str, Field(max_length=316)] | None = Field(default=None, description="Key of the taint.")
    operator: Annotated[str, Field(pattern=r"^(Exists|Equal)$", max_length=6)] | None = Field(
        default=None, description="Exists or Equal, which is Kubernetes' default."
    )
    value: Annotated[str, Field(max_length=63)] | None = Field(default=None, description="Value of the taint.")
    effect: Annotated[str, Field(pattern=r"^(NoSchedule|PreferNoSchedule|NoExecute)$", max_length=16)] | None = Field(
        default=None, description="NoSchedule, PreferNoSchedule or NoExecute. Default: all."
    )
    toleration_seconds: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="How long a NoExecute taint is tolerated, in seconds. Default: for ever."
    )


def _is_ours(key: str) -> bool:
    return key in RESERVED_LABELS or key.startswith(f"{GROUP}/")


def _is_our_container(container: dict[str, Any]) -> bool:
    return container["name"] in RESERVED_CONTAINERS or container["name"].startswith(FETCH_PREFIX)


def _is_our_mount(mount: VolumeMount) -> bool:
    path = mount.mount_path.rstrip("/") or "/"
    return path in RESERVED_MOUNTS or any(f"{path}/".startswith(f"{own}/") for own in RESERVED_DIRECTORIES)


def _listed(names: tuple[str, ...]) -> str:
    return "[" + ", ".join(f"'{name}'" for name in names) + "]"


_OUR_CONTAINER = f"c.name in {_listed(RESERVED_CONTAINERS)} || c.name.startsWith('{FETCH_PREFIX}')"
_OUR_KEY = f"k in {_listed(RESERVED_LABELS)} || k.startsWith('{GROUP}/')"
_PATTERN = "|".join(RESERVED_DIRECTORIES)
_CONTAINERS = "containers named worker, gateway or fetch-… are Tailrace's own: "


class Pod(Block):
    """Merged into the pods by strategic merge: lists by the names of their items, maps by their keys."""

    rules = (
        Rule(
            cel=f"self.labels.all(k, k.size() <= 317 && k.matches('^{_LABEL_KEY}$'))",
            message="a label's key must be a name of at most 63 letters, digits, '-', '_' and '.', with a DNS name and "
            "'/' before it if you like: choose such a key",
            holds=lambda pod: all(len(key) <= 317 and re.fullmatch(_LABEL_KEY, key) for key in pod.labels),
            field="labels",
        ),
        Rule(
            cel=f"self.labels.all(k, !({_OUR_KEY}))",
            message=f"labels {', '.join(RESERVED_LABELS)} and {GROUP}/… are Tailrace's own: choose other keys",
            holds=lambda pod: not any(_is_ours(key) for key in pod.labels),
            field="labels",
        ),
        Rule(
            cel=f"self.annotations.all(k, !k.startsWith('{GROUP}/'))",
            message=f"annotations {GROUP}/… are Tailrace's own: choose other keys",
            holds=lambda pod: not any(key.startswith(f"{GROUP}/") for key in pod.annotations),
            field="annotations",
        ),
        Rule(
            cel=f"self.containers.all(c, !({_OUR_CONTAINER}))",
            message=_CONTAINERS + "use image, env, volumeMounts and resources for them, and another name for a sidecar",
            holds=lambda pod: not any(_is_our_container(container) for container in pod.containers),
            field="containers",
        ),
        Rule(
            cel=f"self.initContainers.all(c, !({_OUR_CONTAINER}))",
            message=_CONTAINERS + "choose another name",
            holds=lambda pod: not any(_is_our_container(container) for container in pod.init_containers),
            field="initContainers",
        ),
        Rule(
            cel=f"self.volumes.all(v, !v.name.startsWith('{VOLUME_PREFIX}'))",
            message=f"volumes named {VOLUME_PREFIX}… are Tailrace's own: choose another name",
            holds=lambda pod: not any(volume["name"].startswith(VOLUME_PREFIX) for volume in pod.volumes),
            field="volumes",
        ),
        Rule(
            cel=f"self.volumeMounts.all(m, !m.mountPath.matches('^(/|/tmp/?|/dev/shm/?|({_PATTERN})(/.*)?)$'))",
            message=f"mountPath must not be {', '.join(RESERVED_MOUNTS)}, nor lie in "
            f"{', '.join(RESERVED_DIRECTORIES)}, where Tailrace's own volumes are: choose another path",
            holds=lambda pod: not any(_is_our_mount(mount) for mount in pod.volume_mounts),
            field="volumeMounts",
        ),
    )

    labels: dict[str, Annotated[str, Field(pattern=_LABEL_VALUE, max_length=63)]] = Field(
        default={}, max_length=32, description="Further labels of the pods."
    )
    annotations: dict[str, Annotated[str, Field(max_length=4096)]] = Field(
        default={}, max_length=32, description="Further annotations of the pods."
    )
    image: Annotated[str, Field(min_length=1, max_length=512)] | None = Field(
        default=None, description="Image of the main container, instead of the installation's."
    )
    image_pull_secrets: Annotated[list[SecretReference], KeyedBy("name")] = Field(
        default=[],
        max_length=16,
        description="Secrets with which images are pulled, beside the installation's.",
    )
    service_account_name: Annotated[str, Field(pattern=_DNS_NAME, max_length=253)] | None = Field(
        default=None, description="Service account, for an identity of the cloud. Its token is not mounted."
    )
    priority_class_name: Annotated[str, Field(pattern=_DNS_NAME, max_length=253)] | None = Field(
        default=None, description="PriorityClass: who is evicted, and who is scheduled first."
    )
    affinity: ForeignObject | None = Field(default=None, description="Affinity, as in a pod's spec.")
    tolerations: list[Toleration] = Field(
        default=[], max_length=32, description="Taints of nodes that the pods tolerate, beside those of resources.gpu."
    )
    topology_spread_constraints: list[ForeignObject] = Field(
        default=[],
        max_length=8,
        description="How the pods spread over nodes and zones, as in a pod's spec. One for a topologyKey that Tailrace "
        "sets itself is merged with it.",
    )
    env: Annotated[list[PodEnvVar], KeyedBy("name")] = Field(
        default=[],
        max_length=64,
        description="Environment variables of the main container and of downloads (proxies, …).",
    )
    volumes: Annotated[list[NamedObject], KeyedBy("name")] = Field(
        default=[],
        max_length=32,
        description="Further volumes, as in a pod's spec.",
    )
    volume_mounts: Annotated[list[VolumeMount], KeyedBy("mountPath")] = Field(
        default=[],
        max_length=32,
        description="Where further volumes appear in the main container and in downloads.",
    )
    containers: Annotated[list[NamedObject], KeyedBy("name")] = Field(
        default=[],
        max_length=8,
        description="Sidecars, as in a pod's spec.",
    )
    init_containers: Annotated[list[NamedObject], KeyedBy("name")] = Field(
        default=[],
        max_length=8,
        description="Containers that run before the main one; with restartPolicy Always, beside it.",
    )
