"""Which programs a local run consists of: the rendered Deployments, replica by replica."""

from collections.abc import Sequence

from tailrace_operator.local.gateway import gateway_for, on_one_machine
from tailrace_operator.local.options import LocalOptions
from tailrace_operator.local.pods import Machine, programs_of, with_own_config
from tailrace_operator.local.processes import Program
from tailrace_operator.render import RenderSettings, render, render_gateway
from tailrace_operator.resources import StreamingGateway, StreamingModel

#: The local gateways' patience with their clients when they stop, in seconds.
_GATEWAY_SHUTDOWN_S = 5.0


def programs(
    models: Sequence[StreamingModel],
    options: LocalOptions,
    broker_url: str,
    gateways: Sequence[StreamingGateway] = (),
) -> tuple[list[Program], list[Program]]:
    """Gateways and workers of `models`; their settings files are written."""
    gateway = on_one_machine(gateway_for(models, gateways))
    machine = Machine(options.places, options.logs)
    workers = [program for model in models for program in _workers(model, options, broker_url, machine)]
    replicas = [
        program
        for number, port in enumerate(options.ports, start=1)
        for program in _gateway(gateway, options, number, _settings(broker_url, port), machine)
    ]
    return replicas, workers


def _workers(model: StreamingModel, options: LocalOptions, broker_url: str, machine: Machine) -> list[Program]:
    python = options.worker_python if model.spec.engine.vllm else options.python
    config, deployment, *_ = render(model, _settings(broker_url, options.port)).manifests
    return programs_of(deployment, config, python, machine)


def _gateway(
    gateway: StreamingGateway, options: LocalOptions, number: int, settings: RenderSettings, machine: Machine
) -> list[Program]:
    config, deployment, *_ = render_gateway(gateway, (), settings)
    one, own = with_own_config(deployment, config, number)
    return programs_of(one, own, options.python, machine, first=number)


def _settings(broker_url: str, port: int) -> RenderSettings:
    return RenderSettings(
        nats_servers=(broker_url,),
        gateway_host="127.0.0.1",
        gateway_port=port,
        gateway_shutdown_s=_GATEWAY_SHUTDOWN_S,
        worker_http_port=0,
        local=True,
    )
