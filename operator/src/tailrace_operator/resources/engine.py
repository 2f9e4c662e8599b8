"""The engine of a model: vLLM, or the simulated one for load and chaos tests."""

import re
from typing import Annotated, Literal

from pydantic import Field

from tailrace_operator.resources.block import Block, Rule
from tailrace_operator.resources.duration import Duration, DurationRange

#: Arguments of `vllm serve` that have a typed field (or that Tailrace sets itself), and what to use instead.
TYPED_ARGUMENTS = {
    "--model": "spec.model.source",
    "--revision": "spec.model.source.hf.revision",
    "--served-model-name": "metadata.name",
    "--max-model-len": "spec.engine.vllm.contextLength",
    "--dtype": "spec.engine.vllm.dtype",
    "--max-num-seqs": "spec.engine.vllm.maxStreams",
    "--tensor-parallel-size": "spec.engine.vllm.tensorParallelSize",
    "-tp": "spec.engine.vllm.tensorParallelSize",
    "--enable-prefix-caching": "spec.engine.vllm.prefixCaching",
    "--no-enable-prefix-caching": "spec.engine.vllm.prefixCaching",
    "--tool-call-parser": "spec.engine.vllm.toolCallParser",
    "--enable-auto-tool-choice": "spec.engine.vllm.toolCallParser",
    "--reasoning-parser": "spec.engine.vllm.reasoningParser",
    "--host": "the gateway, which alone is reached by clients",
    "--port": "the gateway, which alone is reached by clients",
}
_FLAGS = "|".join(sorted(re.escape(flag.lstrip("-")).replace(r"\-", "[-_]") for flag in TYPED_ARGUMENTS))
_TYPED_PATTERN = f"^--?({_FLAGS})(=.*)?$"


def typed_field_of(argument: str) -> str | None:
    """The field to use instead of a vLLM argument, or `None` for an argument that has none."""
    flag = argument.split("=", 1)[0].replace("_", "-")
    return TYPED_ARGUMENTS.get(flag)


def _explain_repeated(vllm: "VllmEngine") -> str:
    repeated = [(argument, field) for argument in vllm.extra_args if (field := typed_field_of(argument))]
    return "; ".join(f"{argument!r} is set by {field}: use that instead" for argument, field in repeated)


class VllmEngine(Block):
    """vLLM in the worker's process. What `vllm serve` takes, as typed fields where users need them."""

    rules = (
        Rule(
            cel=f"self.extraArgs.all(a, !a.matches('{_TYPED_PATTERN}'))",
            message="extraArgs must not repeat what a typed field sets (contextLength, dtype, maxStreams, "
            "tensorParallelSize, prefixCaching, toolCallParser, reasoningParser, model.source): use the field",
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
    max_streams: int = Field(
        default=128, ge=1, le=4096, description="Streams that one worker generates at once; more wait in the queue."
    )
    tensor_parallel_size: int = Field(
        default=1, ge=1, le=64, description="GPUs over which each layer is split; at most resources.gpu.count."
    )
    prefix_caching: bool = Field(default=True, description="Keep the KV cache of common prompt beginnings.")
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
    extra_args: list[Annotated[str, Field(min_length=1, max_length=512)]] = Field(
        default=[], max_length=32, description="Further arguments of `vllm serve`, one item each ('--block-size=32')."
    )


class SimulatedEngine(Block):
    """Deterministic tokens at a set pace, without a model: for load and chaos tests only."""

    tokens_per_second: float = Field(
        default=50.0, ge=0.1, le=100_000, description="Pace of each stream, in tokens per second."
    )
    first_token: Annotated[Duration, DurationRange("0s", "10m")] = Field(
        default=Duration("0s"), description="Pause before the first token of each stream."
    )
    max_streams: int = Field(
        default=64, ge=1, le=4096, description="Streams that one worker generates at once; more wait in the queue."
    )


class Engine(Block):
    """What generates the tokens: exactly one of its fields is set."""

    rules = (
        Rule(
            cel="has(self.vllm) != has(self.simulated)",
            message="set exactly one of vllm and simulated",
            holds=lambda engine: (engine.vllm is None) != (engine.simulated is None),
        ),
    )

    vllm: VllmEngine | None = Field(default=None, description="vLLM, on GPUs or CPUs.")
    simulated: SimulatedEngine | None = Field(default=None, description="No model: deterministic tokens, for tests.")

    @property
    def max_streams(self) -> int:
        """Streams that one worker generates at once."""
        chosen = self.vllm or self.simulated
        assert chosen is not None, "the rule of this block"  # noqa: S101
        return chosen.max_streams
