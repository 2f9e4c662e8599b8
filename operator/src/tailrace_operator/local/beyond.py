"""What a cluster would do with a model and this machine does not: said, not ignored silently."""

from collections.abc import Sequence

from tailrace_operator.resources import StreamingModel


def beyond_local(models: Sequence[StreamingModel]) -> str | None:
    """One line about what only a cluster does with these models, or `None` when there is nothing."""
    wishes = [wish for model in models for wish in _wishes(model)]
    return f"on a cluster only, not here: {'; '.join(dict.fromkeys(wishes))}" if wishes else None


def _wishes(model: StreamingModel) -> list[str]:
    spec = model.spec
    wishes = []
    if spec.resources.gpu:
        wishes.append(f"{spec.resources.gpu.count} {spec.resources.gpu.resource_name} per worker (here: CPU)")
    if spec.node_selector:
        wishes.append("nodes with " + ", ".join(f"{k}={v}" for k, v in spec.node_selector.items()))
    amounts = {"cpu": spec.resources.cpu, "memory": spec.resources.memory}
    if any(amounts.values()):
        wishes.append(", ".join(f"{name} {value}" for name, value in amounts.items() if value) + " each")
    return wishes
