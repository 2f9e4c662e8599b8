"""Which nodes a model's pods may run on, and what a worker asks of its node."""

from tailrace_operator.render.pods import Mounted
from tailrace_operator.render.rendered import Manifest
from tailrace_operator.render.weights import cache_name
from tailrace_operator.resources import StreamingModel
from tailrace_operator.resources.metadata import GROUP
from tailrace_operator.resources.pod import VOLUME_PREFIX
from tailrace_operator.resources.quantity import Quantity, canonical

#: Borne by pods that share a volume which one node alone can use.
_SHARED_BY = f"{GROUP}/cache"
_SHM_PER_GPU_GI = 1
_LEAST_SHM_GI = 2
#: On CPUs the engine is a process beside its worker even when that is alone, and gives it 160 MiB of messages.
_SHM_ON_CPUS = Quantity("1Gi")


def placement(model: StreamingModel) -> Manifest:
    """The part of a pod's spec that chooses nodes. Downloads go where workers may: their volume may bind to a zone."""
    gpu = model.spec.resources.gpu
    selected = model.spec.node_selector | (gpu.node_selector if gpu else {})
    tolerated = gpu.tolerations if gpu else []
    tolerations = [toleration.model_dump(by_alias=True, exclude_none=True) for toleration in tolerated]
    chosen = {"nodeSelector": selected, "tolerations": tolerations, "affinity": _beside_their_volume(model)}
    return {field: value for field, value in chosen.items() if value}


def is_on_one_node(model: StreamingModel) -> bool:
    """Whether the model's pods share a volume that one node alone can use."""
    cache = model.spec.model.cache if model.spec.model else None
    return cache is not None and cache.access_mode == "ReadWriteOnce"


def shared_labels(model: StreamingModel) -> dict[str, str]:
    """By what pods that must run on one node find each other; pods of other versions of the model may not use it."""
    return {_SHARED_BY: cache_name(model)} if is_on_one_node(model) else {}


def _beside_their_volume(model: StreamingModel) -> Manifest:
    """Where pods run that have the volume already: elsewhere a pod would wait for it for ever, and not say so.

    Where there is none, Kubernetes lets a pod that matches its own term go anywhere.
    """
    if not is_on_one_node(model):
        return {}
    term = {"labelSelector": {"matchLabels": shared_labels(model)}, "topologyKey": "kubernetes.io/hostname"}
    return {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}


def worker_resources(model: StreamingModel) -> Manifest:
    """Requests and limits of a worker."""
    wanted = model.spec.resources
    requests = {"cpu": wanted.cpu, "memory": wanted.memory}
    limits = {"memory": wanted.memory}
    gpus = {wanted.gpu.resource_name: str(wanted.gpu.count)} if wanted.gpu else {}
    amounts = {"requests": requests, "limits": limits}
    return {kind: {name: canonical(v) for name, v in some.items() if v} | gpus for kind, some in amounts.items()}


def shared_memory(model: StreamingModel) -> list[Mounted]:
    """Room at /dev/shm for the processes of one model; a container's 64Mi are too little for several, and for CPUs."""
    size = model.spec.resources.shm_size or _default_shared_memory(model)
    if size is None:
        return []
    name = f"{VOLUME_PREFIX}shm"
    directory = {"medium": "Memory", "sizeLimit": canonical(size)}
    return [({"name": name, "emptyDir": directory}, {"name": name, "mountPath": "/dev/shm"})]  # noqa: S108 - in the pod


def _default_shared_memory(model: StreamingModel) -> Quantity | None:
    vllm = model.spec.engine.vllm
    if vllm is None:
        return None
    if vllm.gpus > 1:
        return Quantity(f"{max(_LEAST_SHM_GI, _SHM_PER_GPU_GI * vllm.gpus)}Gi")
    return None if model.spec.resources.gpu else _SHM_ON_CPUS
