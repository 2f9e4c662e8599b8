"""What a cluster would do with resources and this machine does not: said, not ignored silently."""

from collections.abc import Iterator

from tailrace_operator.resources import StreamingGateway, StreamingModel
from tailrace_operator.resources.files import Loaded
from tailrace_operator.resources.pod import Pod
from tailrace_operator.resources.weights import Model

#: Parts of `spec.pod` that processes have nothing for.
_POD_PARTS = (
    "image",
    "image_pull_secrets",
    "service_account_name",
    "priority_class_name",
    "affinity",
    "tolerations",
    "topology_spread_constraints",
    "volumes",
    "volume_mounts",
    "containers",
    "init_containers",
)


def beyond_local(loaded: Loaded) -> str | None:
    """One line about what only a cluster does with these resources, or `None` when there is nothing."""
    wishes = [wish for model in loaded.models for wish in _wishes(model)]
    wishes += [wish for gateway in loaded.gateways for wish in _gateway_wishes(gateway)]
    return f"on a cluster only, not here: {'; '.join(dict.fromkeys(wishes))}" if wishes else None


def _wishes(model: StreamingModel) -> Iterator[str]:
    spec = model.spec
    if spec.auto:
        yield f"scaling from {spec.auto.min_replicas} to {spec.auto.max_replicas} workers (here: one size)"
    if spec.resources.gpu:
        yield f"{spec.resources.gpu.count} {spec.resources.gpu.resource_name} per worker (here: CPU)"
    if spec.node_selector:
        yield "nodes with " + ", ".join(f"{k}={v}" for k, v in spec.node_selector.items())
    resources = spec.resources
    amounts = {"cpu": resources.cpu, "memory": resources.memory, "shared memory": resources.shm_size}
    if any(amounts.values()):
        yield ", ".join(f"{name} {value}" for name, value in amounts.items() if value) + " each"
    if spec.engine.vllm and spec.engine.vllm.speculative:
        yield "speculative decoding (on CPUs vLLM guesses wrong)"
    if spec.model:
        yield from _model_wishes(spec.model)
    yield from _pod_wishes(spec.pod)


def _model_wishes(model: Model) -> Iterator[str]:
    if model.cache:
        yield f"a cache volume of {model.cache.size} (here: the hub's own cache in your home directory)"
    if model.source.hf and model.source.hf.token_secret:
        yield f"the token of Secret {model.source.hf.token_secret.name} (here: your own HF_TOKEN)"


def _gateway_wishes(gateway: StreamingGateway) -> Iterator[str]:
    auto, kind = gateway.spec.auto, gateway.spec.service.type
    count = f"{auto.min_replicas} to {auto.max_replicas}" if auto else str(gateway.spec.replicas)
    yield f"{count} gateways behind a Service of type {kind} (here: GATEWAYS=)"
    yield from _pod_wishes(gateway.spec.pod)


def _pod_wishes(pod: Pod) -> Iterator[str]:
    parts = [Pod.model_fields[part].alias or part for part in _POD_PARTS if getattr(pod, part)]
    foreign = [variable.name for variable in pod.env if variable.value is None]
    if parts or foreign:
        yield "pod." + ", pod.".join([*parts, *(f"env {name}" for name in foreign)])
