"""The arguments of vLLM that users need, as typed fields, and an escape hatch for the rest."""

from typing import Annotated, Literal

from pydantic import Field

from tailrace_operator.resources.block import Block, Rule
from tailrace_operator.resources.lora import Lora
from tailrace_operator.resources.quantity import Quantity, QuantityRange
from tailrace_operator.resources.speculative import Speculative

_HERE = "spec.engine.vllm"
_SPECULATIVE_FLAGS = ("--speculative-config", "-sc", "-s")
#: Parts of vLLM's speculative configuration, which may also be given one by one. The others alone turn nothing on.
_SPECULATIVE_PARTS = {
    "method": "method",
    "model": "draftModel",
    "num-speculative-tokens": "tokens",
    "prompt-lookup-min": "ngram.min",
    "prompt-lookup-max": "ngram.max",
}
#: Arguments of `vllm serve` that have a typed field (or that Tailrace sets itself), and what to use instead. Of options
#: with one dash, vLLM's parser also takes the beginning.
TYPED_ARGUMENTS = {
    "--config": f"the fields of {_HERE}, and extraArgs for the rest",
    "--model": "spec.model.source",
    "--revision": "spec.model.source.hf.revision",
    "--served-model-name": "metadata.name",
    "--max-model-len": f"{_HERE}.contextLength",
    "--dtype": f"{_HERE}.dtype",
    "--max-num-seqs": f"{_HERE}.maxStreams",
    "--tensor-parallel-size": f"{_HERE}.tensorParallelSize",
    "-tp": f"{_HERE}.tensorParallelSize",
    "-t": f"{_HERE}.tensorParallelSize",
    "--pipeline-parallel-size": f"{_HERE}.pipelineParallelSize",
    "-pp": f"{_HERE}.pipelineParallelSize",
    "--quantization": f"{_HERE}.quantization",
    "-q": f"{_HERE}.quantization",
    "--kv-cache-dtype": f"{_HERE}.kvCacheDtype",
    "--kv-cache-memory-bytes": f"{_HERE}.kvCacheMemory",
    "--kv-offloading-size": f"{_HERE}.kvOffload",
    "--cpu-offload-gb": f"{_HERE}.cpuOffload",
    "--gpu-memory-utilization": f"{_HERE}.gpuMemoryUtilization",
    "--device-memory-utilization": f"{_HERE}.gpuMemoryUtilization",
    "--max-num-batched-tokens": f"{_HERE}.maxBatchedTokens",
    "--enable-prefix-caching": f"{_HERE}.prefixCaching",
    "--no-enable-prefix-caching": f"{_HERE}.prefixCaching",
    "--enforce-eager": f"{_HERE}.enforceEager",
    "--no-enforce-eager": f"{_HERE}.enforceEager",
    "--trust-remote-code": f"{_HERE}.trustRemoteCode",
    "--no-trust-remote-code": f"{_HERE}.trustRemoteCode",
    "--chat-template": f"{_HERE}.chatTemplate",
    "--tool-call-parser": f"{_HERE}.toolCallParser",
    "--enable-auto-tool-choice": f"{_HERE}.toolCallParser",
    "--no-enable-auto-tool-choice": f"{_HERE}.toolCallParser",
    "--reasoning-parser": f"{_HERE}.reasoningParser",
    "--enable-lora": f"{_HERE}.lora",
    "--no-enable-lora": f"{_HERE}.lora",
    "--lora-modules": f"{_HERE}.lora.adapters",
    "--max-lora-rank": f"{_HERE}.lora.maxRank",
    "--max-loras": f"{_HERE}.lora.maxActive",
    **dict.fromkeys(_SPECULATIVE_FLAGS, f"{_HERE}.speculative"),
    **{
        f"{flag}.{part}": f"{_HERE}.speculative.{field}"
        for flag in _SPECULATIVE_FLAGS
        for part, field in _SPECULATIVE_PARTS.items()
    },
    "--spec-method": f"{_HERE}.speculative.method",
    "--spec-model": f"{_HERE}.speculative.draftModel",
    "--spec-tokens": f"{_HERE}.speculative.tokens",
    "--structured-outputs-config": f"{_HERE}.structuredOutputs",
    "--structured-outputs-config.backend": f"{_HERE}.structuredOutputs.backend",
    "--structured-outputs-config.reasoning-parser": f"{_HERE}.reasoningParser",
    "--host": "the gateway, which alone is reached by clients",
    "--port": "the gateway, which alone is reached by clients",
}


def _either_way(flag: str) -> str:
    """The pattern of a flag, whose words vLLM takes with dashes and with underscores."""
    name = flag.lstrip("-")
    return flag.removesuffix(name) + name.replace("-", "[-_]").replace(".", "[.]")


_FLAGS = "|".join(sorted(map(_either_way, TYPED_ARGUMENTS)))
#: The value of a flag of one letter may follow it at once.
_TYPED_PATTERN = f"^(({_FLAGS})(=|$)|-q)"


def typed_field_of(argument: str) -> str | None:
    """The field to use instead of a vLLM argument, or `None` for an argument that has none."""
    flag = argument.split("=", 1)[0].replace("_", "-")
    return TYPED_ARGUMENTS.get("-q" if flag.startswith("-q") else flag)


def _explain_repeated(vllm: "VllmEngine") -> str:
    repeated = [(argument, field) for argument in vllm.extra_args if (field := typed_field_of(argument))]
    return "; ".join(f"{argument!r} is set by {field}: use that instead" for argument, field in repeated)


class ChatTemplate(Block):
    """How messages become a prompt, instead of the model's own template. Exactly one of its fields is set."""

    rules = (
        Rule(
            cel="has(self.inline) != has(self.path)",
            message="set exactly one of inline and path",
            holds=lambda template: (template.inline is None) != (template.path is None),
        ),
        Rule(
            cel="!has(self.path) || !self.path.split('/').exists(part, part == '..')",
            message="path must not contain '..': name the file itself",
            holds=lambda template: template.path is None or ".." not in template.path.split("/"),
            field="path",
        ),
    )

    inline: Annotated[str, Field(min_length=1, max_length=65_536)] | None = Field(
        default=None, description="The template itself, in Jinja."
    )
    path: Annotated[str, Field(pattern=r"^[A-Za-z0-9/._-]+$", min_length=1, max_length=512)] | None = Field(
        default=None, description="A file: relative to the model's directory, or absolute in the worker's container."
    )


class StructuredOutputs(Block):
    """Answers that follow a schema or a grammar."""

    backend: Literal["auto", "xgrammar", "guidance", "outlines", "lm-format-enforcer"] = Field(
        default="auto", description="vLLM's engine for them; auto chooses one by the request."
    )


class VllmEngine(Block):
    """vLLM in the worker's process. What `vllm serve` takes, as typed fields where users need them."""

    rules = (
        Rule(
            cel=f"self.extraArgs.all(a, !a.matches('{_TYPED_PATTERN}'))",
            message="extraArgs must not repeat what a typed field sets (model.source, metadata.name, or a field of "
            "engine.vllm: see the CRD reference): use the field",
            holds=lambda vllm: not any(typed_field_of(argument) for argument in vllm.extra_args),
            field="extraArgs",
            explain=_explain_repeated,
        ),
    )

    context_length: int | None = Field(
        default=None,
        ge=16,
        le=16_777_216,
        description="Most tokens of prompt and answer together. Default: what the model's own configuration says.",
    )
    dtype: Literal["auto", "float16", "bfloat16", "float32"] = Field(
        default="auto", description="Number format of weights and activations. CPU workers need float32."
    )
    quantization: Annotated[str, Field(pattern=r"^[a-z0-9_]+$", max_length=64)] | None = Field(
        default=None, description="How the weights are quantized (awq, gptq, fp8, …). Default: what the model says."
    )
    max_streams: int = Field(
        default=128, ge=1, le=4096, description="Streams that one worker generates at once; more wait in the queue."
    )
    max_batched_tokens: Annotated[int, Field(ge=1, le=16_777_216)] | None = Field(
        default=None, description="Most tokens in one step: more serve prompts faster, fewer keep streams even."
    )
    tensor_parallel_size: int = Field(
        default=1,
        ge=1,
        le=64,
        description="GPUs over which each layer is split; not more than resources.gpu has. On CPUs: their sockets.",
    )
    pipeline_parallel_size: int = Field(
        default=1, ge=1, le=64, description="Groups of GPUs over which the layers are divided."
    )
    gpu_memory_utilization: Annotated[float, Field(ge=0.05, le=1)] | None = Field(
        default=None, description="Share of each GPU's memory that vLLM takes. Default: vLLM's own (0.92)."
    )
    kv_cache_dtype: Annotated[str, Field(pattern=r"^[a-z0-9_]+$", max_length=64)] | None = Field(
        default=None, description="Number format of the KV cache (fp8, …). Default: that of the model."
    )
    kv_cache_memory: Annotated[Quantity, QuantityRange("1Mi", "64Ti")] | None = Field(
        default=None, description="KV cache of each GPU or CPU worker, instead of what gpuMemoryUtilization leaves."
    )
    kv_offload: Annotated[Quantity, QuantityRange("1Mi", "64Ti")] | None = Field(
        default=None,
        description="KV cache that moves to the host's memory when the GPU's is full; resources.memory must hold it.",
    )
    cpu_offload: Annotated[Quantity, QuantityRange("1Mi", "64Ti")] | None = Field(
        default=None,
        description="Weights of each GPU that stay in the host's memory (slow); resources.memory must hold it.",
    )
    prefix_caching: bool = Field(default=True, description="Keep the KV cache of common prompt beginnings.")
    enforce_eager: bool = Field(
        default=False, description="Compile nothing: starts sooner and runs slower. CPU workers want it."
    )
    trust_remote_code: bool = Field(
        default=False, description="Run Python code that comes with the model. Only for models whose code was read."
    )
    chat_template: ChatTemplate | None = Field(
        default=None, description="How messages become a prompt. Default: the model's own template."
    )
    tool_call_parser: str | None = Field(
        default=None,
        min_length=1,
        max_length=64,
        description="vLLM's parser for the model's tool calls (for example hermes). Setting it turns tool calls on.",
    )
    reasoning_parser: str | None = Field(
        default=None,
        min_length=1,
        max_length=64,
        description="vLLM's parser for the model's reasoning (deepseek_r1, …).",
    )
    structured_outputs: StructuredOutputs = Field(
        default=StructuredOutputs(), description="Answers that follow a schema or a grammar."
    )
    lora: Lora | None = Field(default=None, description="LoRA adapters, each asked for by its own name.")
    speculative: Speculative | None = Field(
        default=None, description="Guess tokens cheaply and check several at once: fewer steps where guesses are good."
    )
    extra_args: list[Annotated[str, Field(min_length=1, max_length=512)]] = Field(
        default=[], max_length=32, description="Further arguments of `vllm serve`, one item each ('--block-size=32')."
    )

    @property
    def gpus(self) -> int:
        """Over how many GPUs one worker's model is spread."""
        return self.tensor_parallel_size * self.pipeline_parallel_size
