"""The typed engine fields as arguments of `vllm serve`."""

import posixpath

from tailrace_operator.render.config import CONFIG_DIRECTORY
from tailrace_operator.render.settings import RenderSettings
from tailrace_operator.render.weights import Weights, directory_of, weights_of
from tailrace_operator.resources import StreamingModel
from tailrace_operator.resources.quantity import Quantity
from tailrace_operator.resources.speculative import Ngram, Speculative
from tailrace_operator.resources.vllm import ChatTemplate, VllmEngine

#: The file in the worker's configuration that holds an inline chat template.
CHAT_TEMPLATE_FILE = "chat-template.jinja"
_METHODS = {"draft": "draft_model"}
_GI = 2**30


def vllm_arguments(model: StreamingModel, vllm: VllmEngine, settings: RenderSettings) -> list[str]:
    """What `vllm serve` would be given for this model; a flag and its value are separate items."""
    found = {weights.role: weights for weights in weights_of(model)}
    arguments = ["--model", *_place(found["model"], settings)]
    arguments += ["--served-model-name", model.key.name]
    arguments += _sizes(vllm) + _memory(vllm) + _switches(vllm)
    arguments += _chat_template(vllm.chat_template, found["model"], settings)
    arguments += _answers(vllm)
    arguments += _adapters(vllm, found, settings) + _speculation(vllm.speculative, found, settings)
    return arguments + vllm.extra_args


def _place(weights: Weights, settings: RenderSettings) -> list[str]:
    """Where vLLM finds the weights: a directory, or a repository and its revision."""
    directory = directory_of(weights, settings)
    if directory is not None:
        return [directory]
    assert weights.source.hf is not None, "the only source that vLLM reads itself"  # noqa: S101
    return [weights.source.hf.repo, "--revision", weights.source.hf.revision]


def _sizes(vllm: VllmEngine) -> list[str]:
    return [
        *_given("--max-model-len", vllm.context_length),
        *("--dtype", vllm.dtype),
        *_given("--quantization", vllm.quantization),
        *("--max-num-seqs", str(vllm.max_streams)),
        *_given("--max-num-batched-tokens", vllm.max_batched_tokens),
        *("--tensor-parallel-size", str(vllm.tensor_parallel_size)),
        *(["--pipeline-parallel-size", str(vllm.pipeline_parallel_size)] if vllm.pipeline_parallel_size > 1 else []),
    ]


def _memory(vllm: VllmEngine) -> list[str]:
    cache = int(vllm.kv_cache_memory.value) if vllm.kv_cache_memory else None
    return [
        *_given("--gpu-memory-utilization", vllm.gpu_memory_utilization),
        *_given("--kv-cache-dtype", vllm.kv_cache_dtype),
        *_given("--kv-cache-memory-bytes", cache),
        *_given("--kv-offloading-size", _in_gi(vllm.kv_offload)),
        *_given("--cpu-offload-gb", _in_gi(vllm.cpu_offload)),
    ]


def _switches(vllm: VllmEngine) -> list[str]:
    return [
        "--enable-prefix-caching" if vllm.prefix_caching else "--no-enable-prefix-caching",
        *(["--enforce-eager"] if vllm.enforce_eager else []),
        *(["--trust-remote-code"] if vllm.trust_remote_code else []),
    ]


def _chat_template(template: ChatTemplate | None, model: Weights, settings: RenderSettings) -> list[str]:
    if template is None:
        return []
    if template.path is None:
        return ["--chat-template", f"{CONFIG_DIRECTORY}/{CHAT_TEMPLATE_FILE}"]
    directory = directory_of(model, settings) or ""
    return ["--chat-template", posixpath.join(directory, template.path)]


def _answers(vllm: VllmEngine) -> list[str]:
    backend = vllm.structured_outputs.backend
    return [
        *(["--enable-auto-tool-choice", "--tool-call-parser", vllm.tool_call_parser] if vllm.tool_call_parser else []),
        *_given("--reasoning-parser", vllm.reasoning_parser),
        *(["--structured-outputs-config.backend", backend] if backend != "auto" else []),
    ]


def _adapters(vllm: VllmEngine, found: dict[str, Weights], settings: RenderSettings) -> list[str]:
    if vllm.lora is None:
        return []
    places = [_place(found[f"adapter-{number}"], settings)[0] for number in range(len(vllm.lora.adapters))]
    named = zip(vllm.lora.adapters, places, strict=True)
    modules = [f"{adapter.name}={place}" for adapter, place in named]
    active = vllm.lora.max_active or len(modules)
    return [
        *("--enable-lora", "--max-lora-rank", str(vllm.lora.max_rank), "--max-loras", str(active)),
        *("--lora-modules", *modules),
    ]


def _speculation(wanted: Speculative | None, found: dict[str, Weights], settings: RenderSettings) -> list[str]:
    """Guessing is left out on one machine, which is taken to have no GPU: vLLM's CPU build guesses wrong."""
    if wanted is None or settings.local:
        return []
    option = "--speculative-config"
    arguments = [f"{option}.method", _METHODS.get(wanted.method, wanted.method)]
    arguments += [f"{option}.num_speculative_tokens", str(wanted.tokens)]
    if wanted.method == "ngram":
        looked_up = wanted.ngram or Ngram()
        arguments += [f"{option}.prompt_lookup_min", str(looked_up.min)]
        return [*arguments, f"{option}.prompt_lookup_max", str(looked_up.max)]
    return [*arguments, f"{option}.model", _place(found["draft"], settings)[0]]


def _given(flag: str, value: object | None) -> list[str]:
    return [] if value is None else [flag, str(value)]


def _in_gi(quantity: Quantity | None) -> str | None:
    """In GiB, as vLLM counts."""
    return None if quantity is None else f"{quantity.value / _GI:f}".rstrip("0").rstrip(".")
