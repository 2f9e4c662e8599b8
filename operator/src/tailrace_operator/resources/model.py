"""StreamingModel: what an app team applies to get streams of a model."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field
from tailrace_protocol.subjects import ModelKey

from tailrace_operator.resources.block import Block, Rule
from tailrace_operator.resources.engine import Engine
from tailrace_operator.resources.gateway import DEFAULT_GATEWAY
from tailrace_operator.resources.keyed import KeyedBy
from tailrace_operator.resources.metadata import (
    API_VERSION,
    GROUP,
    LABEL_PATTERN,
    MAX_NAME,
    NAME_RULE,
    VERSION,
    Metadata,
)
from tailrace_operator.resources.placement import EnvVar, NodeLabels, Resources
from tailrace_operator.resources.pod import Pod
from tailrace_operator.resources.policies import (
    Chunking,
    Disconnect,
    Drain,
    Failover,
    Limits,
    Queue,
    Replay,
    Rollout,
    Startup,
    Timeouts,
)
from tailrace_operator.resources.scaling import Scaling
from tailrace_operator.resources.status import Status
from tailrace_operator.resources.weights import Model

__all__ = ["API_VERSION", "GROUP", "VERSION", "StreamingModel"]

#: What gateways' children are called; a model of that name could claim them.
RESERVED_PREFIX = "tailrace-gateway"


def _amount(path: str) -> str:
    """A quantity as a number in CEL, 0 if it is left out."""
    return f"(has(self.{path}) ? quantity(string(self.{path})).asApproximateFloat() : 0.0)"


def _gpus_suffice(spec: "Spec") -> bool:
    if spec.engine.vllm is None or spec.resources.gpu is None:
        return True
    return spec.engine.vllm.gpus <= spec.resources.gpu.count


def _memory_suffices(spec: "Spec") -> bool:
    vllm, resources = spec.engine.vllm, spec.resources
    if resources.memory is None:
        return True
    parts = [resources.shm_size] + ([vllm.kv_offload, *[vllm.cpu_offload] * vllm.gpus] if vllm else [])
    return sum(part.value for part in parts if part is not None) < resources.memory.value


def _speculates_on_gpus(spec: "Spec") -> bool:
    vllm = spec.engine.vllm
    return vllm is None or vllm.speculative is None or spec.resources.gpu is not None


def _adapters_have_their_own_names(model: "StreamingModel") -> bool:
    vllm = model.spec.engine.vllm
    return vllm is None or vllm.lora is None or all(a.name != model.metadata.name for a in vllm.lora.adapters)


class GatewayReference(Block):
    """The gateway that serves a model."""

    name: str = Field(
        default=DEFAULT_GATEWAY,
        pattern=LABEL_PATTERN,
        max_length=MAX_NAME,
        description="A StreamingGateway of the same namespace. The one called default is made with the first model.",
    )


class Spec(Block):
    """What runs, and how its streams are treated."""

    rules = (
        Rule(
            cel="has(self.engine.vllm) == has(self.model)",
            message="engine.vllm needs model.source; engine.simulated has no model, so leave model out",
            holds=lambda spec: (spec.engine.vllm is None) == (spec.model is None),
            field="model",
        ),
        Rule(
            cel="!has(self.engine.vllm) || !has(self.resources.gpu) || "
            "self.engine.vllm.tensorParallelSize * self.engine.vllm.pipelineParallelSize <= self.resources.gpu.count",
            message="engine.vllm.tensorParallelSize times pipelineParallelSize must not exceed resources.gpu.count: "
            "lower them or raise the count",
            holds=_gpus_suffice,
            field="engine",
        ),
        Rule(
            cel="!has(self.engine.vllm) || !has(self.engine.vllm.speculative) || has(self.resources.gpu)",
            message="engine.vllm.speculative needs resources.gpu: on CPUs vLLM gives wrong tokens when greedy and "
            "sampled requests meet in a batch, so leave it out there",
            holds=_speculates_on_gpus,
            field="engine",
        ),
        Rule(
            cel=f"!has(self.resources.memory) || {_amount('resources.shmSize')} + (has(self.engine.vllm) ? "
            f"{_amount('engine.vllm.kvOffload')} + {_amount('engine.vllm.cpuOffload')} * "
            "double(self.engine.vllm.tensorParallelSize * self.engine.vllm.pipelineParallelSize) : 0.0) < "
            "quantity(string(self.resources.memory)).asApproximateFloat()",
            message="engine.vllm.kvOffload, cpuOffload for each GPU and resources.shmSize must together be less than "
            "resources.memory, which holds them: raise it or lower them",
            holds=_memory_suffices,
            field="resources",
        ),
    )

    model: Model | None = Field(default=None, description="The weights. Required with engine.vllm.")
    engine: Engine = Field(description="What generates the tokens.")
    gateway: GatewayReference = Field(default=GatewayReference(), description="Which gateway serves the model.")
    replicas: int = Field(
        default=1,
        ge=0,
        le=1000,
        description="Workers, unless scaling.mode is Auto. The scale subresource sets this field.",
    )
    scaling: Scaling | None = Field(
        default=None, description="How the number of workers follows the load. Left out: it is replicas."
    )
    resources: Resources = Field(default=Resources(), description="What each worker asks of its node.")
    node_selector: NodeLabels = Field(default={}, max_length=32, description="Labels that a worker's node must have.")
    env: Annotated[list[EnvVar], KeyedBy("name")] = Field(
        default=[],
        max_length=64,
        description="Environment variables of the workers (OMP_NUM_THREADS, NCCL_DEBUG, …).",
    )
    chunking: Chunking = Field(default=Chunking(), description="How tokens are gathered into events.")
    timeouts: Timeouts = Field(default=Timeouts(), description="How long each phase of a request may take.")
    replay: Replay = Field(default=Replay(), description="How long streams can be read again.")
    queue: Queue = Field(default=Queue(), description="Requests that wait for a worker.")
    disconnect: Disconnect = Field(default=Disconnect(), description="What a client's disconnect does.")
    failover: Failover = Field(default=Failover(), description="When another worker continues a stream.")
    startup: Startup = Field(default=Startup(), description="How long a worker may take to load its model.")
    rollout: Rollout = Field(default=Rollout(), description="How workers are replaced.")
    drain: Drain = Field(default=Drain(), description="How a worker stops.")
    limits: Limits = Field(default=Limits(), description="What is refused.")
    pod: Pod = Field(default=Pod(), description="Changes to the workers' pods.")

    @property
    def auto(self) -> Scaling | None:
        """The limits within which the operator sets the number of workers; `None` where it does not."""
        return self.scaling if self.scaling is not None and self.scaling.mode == "Auto" else None

    @property
    def most_workers(self) -> int:
        """How many there may ever be."""
        return self.auto.max_replicas if self.auto else self.replicas


class StreamingModel(Block):
    """A model, served as resumable token streams."""

    rules = (
        NAME_RULE,
        Rule(
            cel=f"!self.metadata.name.startsWith('{RESERVED_PREFIX}')",
            message=f"metadata.name must not begin with {RESERVED_PREFIX}, which gateways' children do: choose another",
            holds=lambda model: not model.metadata.name.startswith(RESERVED_PREFIX),
            place="metadata.name",
        ),
        Rule(
            cel="!has(self.spec.engine.vllm) || !has(self.spec.engine.vllm.lora) "
            "|| self.spec.engine.vllm.lora.adapters.all(a, a.name != self.metadata.name)",
            message="an adapter must not be called like the model: choose another name for it",
            holds=_adapters_have_their_own_names,
            place="spec.engine.vllm.lora.adapters",
        ),
    )
    kind_name: ClassVar[str] = "StreamingModel"

    api_version: Literal["tailrace.dev/v1alpha1"] = Field(description="Version of this schema.")
    kind: Literal["StreamingModel"] = Field(description="Always StreamingModel.")
    metadata: Metadata
    spec: Spec = Field(description="What runs, and how its streams are treated.")
    status: Status | None = Field(default=None, description="What the operator sees; written by it alone.")

    @property
    def key(self) -> ModelKey:
        """The model's name on the broker."""
        return ModelKey(self.metadata.namespace, self.metadata.name)

    def with_workers(self, count: int) -> "StreamingModel":
        """This model with that many workers."""
        return self.model_copy(update={"spec": self.spec.model_copy(update={"replicas": count})})

    @classmethod
    def parse(cls, document: Any) -> "StreamingModel":
        """The model that a document (as read from YAML or JSON) describes.

        Raises:
            pydantic.ValidationError: with the field's path and what is wrong with it.
        """
        return cls.model_validate(document, by_alias=True, by_name=False)
