"""A model's workers: one Deployment, and the settings file that all its pods read."""

from tailrace_protocol.settings import (
    ChunkingSettings,
    NatsSettings,
    SimulatedSettings,
    TimeoutSettings,
    VllmSettings,
    WorkerSettings,
)

from tailrace_operator.render import parts
from tailrace_operator.render.rendered import Manifest
from tailrace_operator.render.settings import RenderSettings
from tailrace_operator.render.vllm import model_directory, vllm_arguments
from tailrace_operator.resources import StreamingModel

SETTINGS_FILE = "worker.json"
USER = "worker"


def worker_settings(model: StreamingModel, settings: RenderSettings) -> WorkerSettings:
    """What each worker of `model` is told."""
    spec = model.spec
    engine = spec.engine
    return WorkerSettings(
        namespace=model.key.namespace,
        model=model.key.name,
        nats=NatsSettings(
            servers=list(settings.nats_servers), user=USER, password_file=f"{parts.SECRETS_DIRECTORY}/{USER}"
        ),
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
    )


def worker_manifests(model: StreamingModel, settings: RenderSettings) -> tuple[Manifest, ...]:
    """The workers' ConfigMap and Deployment."""
    labels = parts.labels_of("worker", model.key.name) | {"tailrace.dev/model": model.key.name}
    described = parts.metadata(f"{model.key.name}-worker", model.key.namespace, labels, (model,))
    config = parts.config_map(described, SETTINGS_FILE, worker_settings(model, settings))
    return config, parts.deployment(described, model.spec.replicas, _pod(model, settings, described["name"]), config)


def _timeouts(model: StreamingModel) -> TimeoutSettings:
    timeouts = model.spec.timeouts
    return TimeoutSettings(
        queue_s=timeouts.queue.seconds,
        first_token_s=timeouts.first_token.seconds,
        between_tokens_s=timeouts.between_tokens.seconds,
        total_s=timeouts.total.seconds,
    )


def _pod(model: StreamingModel, settings: RenderSettings, config_name: str) -> Manifest:
    spec = model.spec
    volumes = [parts.config_volume(config_name), parts.secrets_volume(settings.nats_secret, (USER,))]
    volumes += _model_volumes(model, settings)
    container = {
        "name": "worker",
        "image": settings.worker_image if spec.resources.gpu else settings.worker_cpu_image,
        "command": ["python", "-m", "tailrace_worker", "--settings", f"{parts.CONFIG_DIRECTORY}/{SETTINGS_FILE}"],
        "env": _environment(model),
        "resources": _resources(model),
        "volumeMounts": [mount for _, mount in volumes],
    }
    pod = parts.pod(container, [volume for volume, _ in volumes], spec.drain.deadline.seconds)
    return pod | ({"nodeSelector": spec.node_selector} if spec.node_selector else {})


def _model_volumes(model: StreamingModel, settings: RenderSettings) -> list[tuple[Manifest, Manifest]]:
    directory = model_directory(model.spec.model.source, settings) if model.spec.model else None
    if directory is None:
        return []
    volume = {"name": "model", "hostPath": {"path": directory, "type": "Directory"}}
    return [(volume, {"name": "model", "mountPath": directory, "readOnly": True})]


def _environment(model: StreamingModel) -> list[Manifest]:
    """The user's variables; weights that lie in a directory need no hub, and must not wait for one."""
    variables = {"HF_HUB_OFFLINE": "1"} if model.spec.model and model.spec.model.source.path else {}
    variables |= {variable.name: variable.value for variable in model.spec.env}
    return [{"name": name, "value": value} for name, value in variables.items()]


def _resources(model: StreamingModel) -> Manifest:
    wanted = model.spec.resources
    requests: dict[str, str | None] = {"cpu": wanted.cpu, "memory": wanted.memory}
    limits: dict[str, str | None] = {"memory": wanted.memory}
    if wanted.gpu:
        requests[wanted.gpu.resource_name] = limits[wanted.gpu.resource_name] = str(wanted.gpu.count)
    resources = {"requests": requests, "limits": limits}
    return {kind: {name: str(v) for name, v in amounts.items() if v} for kind, amounts in resources.items()}
