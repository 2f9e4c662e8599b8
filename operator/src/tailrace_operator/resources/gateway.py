"""StreamingGateway: how the models of a namespace are reached.

A namespace's gateway called `default` is made with its first model; another one is for those who want their own
address, limits or pods. A model says by `spec.gateway.name` which one serves it.
"""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field

from tailrace_operator.resources.block import Block, Rule
from tailrace_operator.resources.duration import Duration, DurationRange
from tailrace_operator.resources.metadata import NAME_RULE, Metadata
from tailrace_operator.resources.pod import Pod
from tailrace_operator.resources.quantity import Quantity, QuantityRange
from tailrace_operator.resources.scaling import LIMITS, Mode
from tailrace_operator.resources.status import GatewayStatus

DEFAULT_GATEWAY = "default"


class Service(Block):
    """How clients reach the gateways: the Service in front of them, on port 80."""

    rules = (
        Rule(
            cel="self.type == 'LoadBalancer' || !has(self.loadBalancerClass)",
            message="loadBalancerClass is for type LoadBalancer: set the type, or leave the class out",
            holds=lambda service: service.type == "LoadBalancer" or service.load_balancer_class is None,
            field="loadBalancerClass",
        ),
        Rule(
            cel="self.type != 'ClusterIP' || !has(self.externalTrafficPolicy)",
            message="externalTrafficPolicy is for type LoadBalancer or NodePort: set the type, or leave the policy out",
            holds=lambda service: service.type != "ClusterIP" or service.external_traffic_policy is None,
            field="externalTrafficPolicy",
        ),
    )

    type: Literal["ClusterIP", "LoadBalancer", "NodePort"] = Field(
        default="ClusterIP", description="ClusterIP: inside the cluster, or behind an Ingress or a route."
    )
    annotations: dict[str, Annotated[str, Field(max_length=1024)]] = Field(
        default={}, max_length=32, description="Annotations of the Service, for load balancers and DNS."
    )
    load_balancer_class: str | None = Field(
        default=None, min_length=1, max_length=253, description="Which load balancer implementation serves it."
    )
    external_traffic_policy: Literal["Cluster", "Local"] | None = Field(
        default=None, description="Local keeps the client's address; Cluster (Kubernetes' default) balances better."
    )


class GatewayLimits(Block):
    """What one gateway takes and keeps."""

    max_body_bytes: Annotated[Quantity, QuantityRange("1Ki", "64Mi")] = Field(
        default=Quantity("64Mi"),
        description="Largest request body of any model; each model's own limits.maxBodyBytes applies within it.",
    )
    max_unsent_bytes: Annotated[Quantity, QuantityRange("4Ki", "64Mi")] = Field(
        default=Quantity("256Ki"),
        description="Most bytes kept for a client that does not read; beyond them it is served from the log.",
    )


class GatewayDrain(Block):
    """How a gateway stops."""

    deadline: Annotated[Duration, DurationRange("0s", "1h")] = Field(
        default=Duration("5m"),
        description="Time in which open responses may end; then clients get the position to resume from.",
    )


class GatewayResources(Block):
    """What each gateway asks of its node."""

    rules = (
        Rule(
            cel="quantity(string(self.memory)).compareTo(quantity(string(self.memoryLimit))) <= 0",
            message="memory must not exceed memoryLimit: lower it or raise memoryLimit",
            holds=lambda resources: resources.memory.value <= resources.memory_limit.value,
            field="memory",
        ),
    )

    cpu: Annotated[Quantity, QuantityRange("1m", "1k")] = Field(
        default=Quantity("250m"), description="CPU cores asked for (request, not limit)."
    )
    memory: Annotated[Quantity, QuantityRange("64Mi", "1Ti")] = Field(
        default=Quantity("256Mi"), description="Memory asked for."
    )
    memory_limit: Annotated[Quantity, QuantityRange("64Mi", "1Ti")] = Field(
        default=Quantity("2Gi"), description="Memory at which the pod is killed."
    )


class GatewayScaling(Block):
    """Who sets the number of gateways: the operator, from their connections and CPU (Auto), or somebody else."""

    rules = (LIMITS,)

    mode: Mode = "Auto"
    min_replicas: int = Field(default=2, ge=1, le=1000, description="Gateways that are always kept.")
    max_replicas: int = Field(default=10, ge=1, le=1000, description="Gateways at most.")
    target_connections: int = Field(
        default=1000,
        ge=1,
        le=100_000,
        description="Client connections that one gateway is meant to hold, idle ones too.",
    )
    target_cpu: Annotated[Quantity, QuantityRange("10m", "64")] = Field(
        default=Quantity("600m"),
        description="CPU cores that one gateway is meant to use; one process uses one at most.",
    )
    scale_down_delay: Annotated[Duration, DurationRange("0s", "1h")] = Field(
        default=Duration("5m"), description="The size falls to the highest that was right within so long."
    )


class GatewaySpec(Block):
    """How many gateways there are, and how they treat clients."""

    replicas: int = Field(
        default=2,
        ge=0,
        le=1000,
        description="Gateways, unless scaling.mode is Auto. The scale subresource sets this field.",
    )
    scaling: GatewayScaling | None = Field(
        default=None, description="How the number of gateways follows the load. Left out: it is replicas."
    )
    service: Service = Field(default=Service(), description="How clients reach the gateways.")
    limits: GatewayLimits = Field(default=GatewayLimits(), description="What one gateway takes and keeps.")
    heartbeat: Annotated[Duration, DurationRange("1s", "50s")] = Field(
        default=Duration("10s"),
        description="Longest silence on a stream before a comment is sent; proxies cut silent responses within 60 s.",
    )
    drain: GatewayDrain = Field(default=GatewayDrain(), description="How a gateway stops.")
    resources: GatewayResources = Field(default=GatewayResources(), description="What each gateway asks of its node.")
    pod: Pod = Field(default=Pod(), description="Changes to the gateways' pods.")

    @property
    def auto(self) -> GatewayScaling | None:
        """The limits within which the operator sets the number of gateways; `None` where it does not."""
        return self.scaling if self.scaling is not None and self.scaling.mode == "Auto" else None


class StreamingGateway(Block):
    """An OpenAI-compatible streaming endpoint for the models of its namespace."""

    rules = (NAME_RULE,)
    kind_name: ClassVar[str] = "StreamingGateway"

    api_version: Literal["tailrace.dev/v1alpha1"] = Field(description="Version of this schema.")
    kind: Literal["StreamingGateway"] = Field(description="Always StreamingGateway.")
    metadata: Metadata
    spec: GatewaySpec = Field(default=GatewaySpec(), description="How many gateways there are, and how they behave.")
    status: GatewayStatus | None = Field(default=None, description="What the operator sees; written by it alone.")

    def with_gateways(self, count: int) -> Self:
        """This gateway with that many pods."""
        return self.model_copy(update={"spec": self.spec.model_copy(update={"replicas": count})})

    @classmethod
    def parse(cls, document: Any) -> Self:
        """The gateway that a document (as read from YAML or JSON) describes.

        Raises:
            pydantic.ValidationError: with the field's path and what is wrong with it.
        """
        return cls.model_validate(document, by_alias=True, by_name=False)
