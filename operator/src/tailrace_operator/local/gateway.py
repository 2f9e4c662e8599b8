"""The one gateway of a local run: the StreamingGateway that the models name, as it can be on one machine."""

from collections.abc import Sequence

from tailrace_operator.render import default_gateway
from tailrace_operator.resources import DEFAULT_GATEWAY, StreamingGateway, StreamingModel


def gateway_for(models: Sequence[StreamingModel], gateways: Sequence[StreamingGateway]) -> StreamingGateway:
    """The gateway of `models`: the one of that name among `gateways`, or the default one.

    Raises:
        LookupError: when they name several, or one that is not there.
    """
    names = sorted({model.spec.gateway.name for model in models})
    if len(names) > 1:
        raise LookupError(f"spec.gateway.name: one run has one gateway, not {' and '.join(names)}: name the same one")
    found = next((gateway for gateway in gateways if gateway.metadata.name == names[0]), None)
    if found is None and names[0] != DEFAULT_GATEWAY:
        raise LookupError(f"spec.gateway.name: no StreamingGateway {names[0]} in these files: add it, or name default")
    return found or StreamingGateway.parse(default_gateway(models[0].metadata.namespace, models))


def on_one_machine(gateway: StreamingGateway) -> StreamingGateway:
    """The same gateway with one replica (each local process is told its own port), which stops at once: whoever runs it
    here waits for the prompt.
    """
    document = gateway.model_dump(mode="json", by_alias=True, exclude_none=True)
    document["spec"] |= {"replicas": 1, "drain": {"deadline": "0s"}}
    return StreamingGateway.parse(document)
