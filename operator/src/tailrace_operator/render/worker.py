"""A model's workers: one Deployment, the settings file that all its pods read, and their disruption budget."""

import math

from tailrace_protocol.settings import (
    ChunkingSettings,
    SimulatedSettings,
    TimeoutSettings,
    VllmSettings,
    WorkerSettings,
)

from tailrace_operator.render import config, pods
from tailrace_operator.render.metadata import metadata, worker_child
from tailrace_operator.render.rendered import Manifest
from tailrace_operator.render.settings import RenderSettings
from tailrace_operator.render.vllm import model_directory, vllm_arguments
from tailrace_operator.resources import StreamingModel
from tailrace_operator.resources.quantity import canonical

SETTINGS_FILE = "worker.json"
USER = "worker"
METRICS_PORT = "metrics"
#: How often a loading worker is asked whether it has finished, in seconds.
_STARTUP_EVERY_S = 2
#: What scheduling and pulling images may take beyond a worker's own start, in seconds.
_SCHEDULING_MARGIN_S = 300.0
#: What a container has no home for, since its user has no entry and its root file system is read-only.
_HOME = {"HOME": "/tmp", "USER": "tailrace"}  # noqa: S108 - in the pod


def worker_settings(model: StreamingModel, settings: RenderSettings) -> WorkerSettings:
    """What each worker of `model` is told."""
    spec = model.spec
    engine = spec.engine
    return WorkerSettings(
        namespace=model.key.namespace,
        model=model.key.name,
        nats=config.nats_settings(USER, settings),
        capacity=engine.max_streams,
        vllm=VllmSettings(vllm_arguments(model, engine.vllm, settings)) if engine.vllm else None,
        simulated=SimulatedSettings(engine.simulated.tokens_per_second, engine.simulated.first_token.seconds)
        if engine.simulated
        else None,
        chunking=ChunkingSettings(spec.chunking.tokens, spec.chunking.max_delay.seconds),
        timeouts=_timeouts(model),
        ack_wait_s=spec.failover.ack_wait.seconds,
        max_attempts=spec.failover.max_attempts,
        drain_s=spec.drain.deadline.seconds,
        http_port=settings.worker_http_port,
    )


def worker_manifests(model: StreamingModel, settings: RenderSettings) -> tuple[Manifest, ...]:
    """The workers' ConfigMap, Deployment and disruption budget."""
    described = metadata(worker_child(model.key.name), "worker", model)
    files = config.config_map(described, {SETTINGS_FILE: config.as_file(worker_settings(model, settings))})
    template = pods.template(described, _pod(model, settings, described["name"]), config.digest_of(files))
    rollout = {"maxSurge": model.spec.rollout.max_surge, "maxUnavailable": model.spec.rollout.max_unavailable}
    progress_s = model.spec.startup.deadline.seconds + _SCHEDULING_MARGIN_S
    deployment = pods.deployment(described, model.spec.replicas, template, rollout, progress_s)
    return files, deployment, pods.disruption_budget(described)


def _timeouts(model: StreamingModel) -> TimeoutSettings:
    timeouts = model.spec.timeouts
    return TimeoutSettings(
        queue_s=timeouts.queue.seconds,
        first_token_s=timeouts.first_token.seconds,
        between_tokens_s=timeouts.between_tokens.seconds,
        total_s=timeouts.total.seconds,
    )


def _pod(model: StreamingModel, settings: RenderSettings, config_name: str) -> Manifest:
    mounted = [config.config_volume(config_name), config.secrets_volume(settings, (USER,)), pods.temporary()]
    mounted += _model_volumes(model, settings)
    container = _container(model, [mount for _, mount in mounted], settings)
    deadline_s = model.spec.drain.deadline.seconds
    spec = pods.pod(container, [volume for volume, _ in mounted], deadline_s, settings)
    return spec | ({"nodeSelector": model.spec.node_selector} if model.spec.node_selector else {})


def _container(model: StreamingModel, mounts: list[Manifest], settings: RenderSettings) -> Manifest:
    command = ["python", "-m", "tailrace_worker", "--settings", f"{config.CONFIG_DIRECTORY}/{SETTINGS_FILE}"]
    return (
        pods.container("worker", _image(model, settings), command, mounts, settings)
        | {"env": _environment(model, settings), "resources": _resources(model)}
        | (_probed(model, settings) if settings.worker_http_port else {})
    )


def _image(model: StreamingModel, settings: RenderSettings) -> str:
    if model.spec.engine.simulated:
        return settings.worker_simulated_image
    return settings.worker_image if model.spec.resources.gpu else settings.worker_cpu_image


def _probed(model: StreamingModel, settings: RenderSettings) -> Manifest:
    """A worker that loads is left alone until its deadline; one that serves must answer within a minute."""
    tries = math.ceil(model.spec.startup.deadline.seconds / _STARTUP_EVERY_S)
    return {
        "ports": [{"name": METRICS_PORT, "containerPort": settings.worker_http_port}],
        "startupProbe": pods.probe("/startupz", METRICS_PORT, every_s=_STARTUP_EVERY_S, failures=tries),
        "livenessProbe": pods.probe("/livez", METRICS_PORT, every_s=10, failures=6, timeout_s=5),
        "readinessProbe": pods.probe("/readyz", METRICS_PORT, every_s=2, failures=2),
    }


def _model_volumes(model: StreamingModel, settings: RenderSettings) -> list[tuple[Manifest, Manifest]]:
    directory = model_directory(model.spec.model.source, settings) if model.spec.model else None
    if directory is None:
        return []
    volume = {"name": "model", "hostPath": {"path": directory, "type": "Directory"}}
    return [(volume, {"name": "model", "mountPath": directory, "readOnly": True})]


def _environment(model: StreamingModel, settings: RenderSettings) -> list[Manifest]:
    """The user's variables; weights that lie in a directory need no hub, and must not wait for one."""
    variables = {} if settings.local else dict(_HOME)
    variables |= {"HF_HUB_OFFLINE": "1"} if model.spec.model and model.spec.model.source.path else {}
    variables |= {variable.name: variable.value for variable in model.spec.env}
    return [{"name": name, "value": value} for name, value in variables.items()]


def _resources(model: StreamingModel) -> Manifest:
    wanted = model.spec.resources
    requests = {"cpu": wanted.cpu, "memory": wanted.memory}
    limits = {"memory": wanted.memory}
    gpus = {wanted.gpu.resource_name: str(wanted.gpu.count)} if wanted.gpu else {}
    amounts = {"requests": requests, "limits": limits}
    return {kind: {name: canonical(v) for name, v in some.items() if v} | gpus for kind, some in amounts.items()}
