"""What must be true of this machine before anything is started: each fault with its remedy."""

from collections.abc import Sequence
from pathlib import Path

from tailrace_operator.local.options import LocalOptions
from tailrace_operator.local.ports import PortTakenError, check_free
from tailrace_operator.resources import StreamingModel

#: The model that `scripts/prepare_model.py` makes from a package's weights.
SHIPPED_MODEL = "smollm2-135m-instruct"


class PreflightError(Exception):
    """Something is missing or taken; the message names it and the remedy."""


def check(models: Sequence[StreamingModel], options: LocalOptions) -> None:
    """Make sure that these models can run here.

    Raises:
        PreflightError: with the first fault found.
    """
    namespaces = sorted({model.metadata.namespace for model in models})
    if len(namespaces) > 1:
        raise PreflightError(f"metadata.namespace: one gateway serves one namespace, not {' and '.join(namespaces)}")
    check_ports(options)
    for model in models:
        _check_directory(model, options)
    if models_need_vllm(models) and not options.worker_python.exists():
        raise PreflightError(f"no environment with vLLM ({options.worker_python}): make it with `make worker-env`")


def models_need_vllm(models: Sequence[StreamingModel]) -> bool:
    """Whether any of them runs on vLLM."""
    return any(model.spec.engine.vllm is not None for model in models)


def model_directories(models: Sequence[StreamingModel], model_root: Path) -> list[Path]:
    """Where the weights of the models with a `path` source lie on this machine."""
    sources = [model.spec.model.source.path for model in models if model.spec.model]
    return [model_root / path.removeprefix("/models/") for path in sources if path is not None]


def _check_directory(model: StreamingModel, options: LocalOptions) -> None:
    for directory in model_directories([model], options.model_root):
        if (directory / "config.json").exists():
            continue
        fault = "has no config.json" if directory.exists() else "does not exist"
        remedy = "put config.json, the tokenizer and the safetensors there"
        if directory.name == SHIPPED_MODEL:
            remedy = f"make it with `make model` ({options.worker_python} scripts/prepare_model.py {directory})"
        raise PreflightError(f"{model.metadata.name}: spec.model.source.path: {directory} {fault}: {remedy}")


def check_ports(options: LocalOptions) -> None:
    """Make sure that the gateways can listen.

    Raises:
        PreflightError: naming the port, who has it, and the remedy.
    """
    for port in options.ports:
        try:
            check_free(port)
        except PortTakenError as error:
            raise PreflightError(str(error)) from None
