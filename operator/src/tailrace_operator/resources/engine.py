"""The engine of a model: vLLM, or the simulated one for load and chaos tests."""

from typing import Annotated

from pydantic import Field

from tailrace_operator.resources.block import Block, Rule
from tailrace_operator.resources.duration import Duration, DurationRange
from tailrace_operator.resources.vllm import VllmEngine


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
