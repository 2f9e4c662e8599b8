"""What must be true of this machine before anything is started: each fault with its remedy."""

from collections.abc import Sequence
from pathlib import Path

from tailrace_operator.local.gateway import gateway_for
from tailrace_operator.local.options import LocalOptions
from tailrace_operator.local.ports import PortTakenError, check_free
from tailrace_operator.render.weights import Weights, weights_of
from tailrace_operator.resources import StreamingModel
from tailrace_operator.resources.files import Loaded

#: The model that `scripts/prepare_model.py` makes from a package's weights.
SHIPPED_MODEL = "smollm2-135m-instruct"


class PreflightError(Exception):
    """Something is missing or taken; the message names it and the remedy."""


def check(loaded: Loaded, options: LocalOptions) -> None:
    """Make sure that these resources can run here.

    Raises:
        PreflightError: with the first fault found.
    """
    models = loaded.models
    namespaces = sorted({model.metadata.namespace for model in models})
    if len(namespaces) > 1:
        raise PreflightError(f"metadata.namespace: one gateway serves one namespace, not {' and '.join(namespaces)}")
    try:
        gateway_for(models, loaded.gateways)
    except LookupError as error:
        raise PreflightError(str(error)) from None
    check_ports(options)
    for model in models:
        _check_sources(model)
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


def _check_sources(model: StreamingModel) -> None:
    for weights in weights_of(model):
        if weights.role == "draft":
            continue  # Nobody guesses here.
        fault = _source_fault(weights)
        if fault:
            raise PreflightError(f"{model.metadata.name}: {weights.field}: {fault}")
    vllm = model.spec.engine.vllm
    template = vllm.chat_template.path if vllm and vllm.chat_template else None
    if template and not template.startswith("/") and model.spec.model and model.spec.model.source.hf:
        fault = "vLLM itself downloads the model here, who knows where: use chatTemplate.inline"
        raise PreflightError(f"{model.metadata.name}: spec.engine.vllm.chatTemplate.path: {fault}")


def _source_fault(weights: Weights) -> str | None:
    """What keeps weights from being read here; vLLM downloads adapters from the hub, but knows no revisions of them."""
    if weights.source.path is None and weights.source.hf is None:
        return "only path and hf can be run on this machine: use one of them"
    if weights.role.startswith("adapter-") and weights.source.hf and weights.source.hf.revision != "main":
        return "adapters of a revision can only be run on a cluster: use path, or revision main"
    return None


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
