"""Which nodes a model's pods may run on, and what a worker asks of its node."""

from tailrace_operator.render.pods import Mounted
from tailrace_operator.render.rendered import Manifest
from tailrace_operator.resources import StreamingModel
from tailrace_operator.resources.pod import VOLUME_PREFIX
from tailrace_operator.resources.quantity import Quantity, canonical

_SHM_PER_GPU_GI = 1
_LEAST_SHM_GI = 2


def placement(model: StreamingModel) -> Manifest:
    """The part of a pod's spec that chooses nodes. Downloads go where workers may: their volume may bind to a zone."""
    gpu = model.spec.resources.gpu
    selected = model.spec.node_selector | (gpu.node_selector if gpu else {})
    tolerated = gpu.tolerations if gpu else []
    tolerations = [toleration.model_dump(by_alias=True, exclude_none=True) for toleration in tolerated]
    return ({"nodeSelector": selected} if selected else {}) | ({"tolerations": tolerations} if tolerations else {})


def worker_resources(model: StreamingModel) -> Manifest:
    """Requests and limits of a worker."""
    wanted = model.spec.resources
    requests = {"cpu": wanted.cpu, "memory": wanted.memory}
    limits = {"memory": wanted.memory}
    gpus = {wanted.gpu.resource_name: str(wanted.gpu.count)} if wanted.gpu else {}
    amounts = {"requests": requests, "limits": limits}
    return {kind: {name: canonical(v) for name, v in some.items() if v} | gpus for kind, some in amounts.items()}


def shared_memory(model: StreamingModel) -> list[Mounted]:
    """Room at /dev/shm for the processes of one model; the 64Mi of a container are too little for several GPUs."""
    size = model.spec.resources.shm_size or _default_shared_memory(model)
    if size is None:
        return []
    name = f"{VOLUME_PREFIX}shm"
    directory = {"medium": "Memory", "sizeLimit": canonical(size)}
    return [({"name": name, "emptyDir": directory}, {"name": name, "mountPath": "/dev/shm"})]  # noqa: S108 - in the pod


def _default_shared_memory(model: StreamingModel) -> Quantity | None:
    vllm = model.spec.engine.vllm
    if vllm is None or vllm.gpus == 1:
        return None
    return Quantity(f"{max(_LEAST_SHM_GI, _SHM_PER_GPU_GI * vllm.gpus)}Gi")
