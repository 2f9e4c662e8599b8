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
from tailrace_operator.render.fetch import fetch_containers, fetch_files
from tailrace_operator.render.metadata import metadata, worker_child
from tailrace_operator.render.overrides import with_overrides
from tailrace_operator.render.placement import (
    is_on_one_node,
    placement,
    shared_labels,
    shared_memory,
    worker_resources,
)
from tailrace_operator.render.rendered import Manifest
from tailrace_operator.render.settings import RenderSettings
from tailrace_operator.render.vllm import CHAT_TEMPLATE_FILE, vllm_arguments
from tailrace_operator.render.weights import directory_of, downloads_of, downloads_volume, volumes_for, weights_of
from tailrace_operator.resources import StreamingModel

SETTINGS_FILE = "worker.json"
USER = "worker"
CONTAINER = "worker"
METRICS_PORT = "metrics"
#: How often a loading worker is asked whether it has finished, in seconds.
_STARTUP_EVERY_S = 2
#: What scheduling and pulling images may take beyond a worker's own start, in seconds.
_SCHEDULING_MARGIN_S = 300.0
#: What a download of its own may take beyond that, in seconds.
_DOWNLOAD_MARGIN_S = 3600.0


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
    files = config.config_map(described, _files(model, settings))
    labelled = {"labels": described["labels"] | shared_labels(model)}
    template = pods.template(labelled, _pod(model, settings, described["name"]), config.digest_of(files))
    template = with_overrides(template, model.spec.pod, CONTAINER)
    rollout = {"maxSurge": model.spec.rollout.max_surge, "maxUnavailable": model.spec.rollout.max_unavailable}
    deployment = pods.deployment(described, model.spec.replicas, template, rollout, _progress_s(model, settings))
    # One by one they could not leave a node: a successor elsewhere would wait for the volume of those that are left.
    at_once = "100%" if is_on_one_node(model) else 1
    return files, deployment, pods.disruption_budget(described, at_once)


def _progress_s(model: StreamingModel, settings: RenderSettings) -> float:
    """How long a rollout may make no progress before it counts as stalled, in seconds."""
    downloads = not _is_cached(model) and bool(downloads_of(model, settings))
    margin_s = _SCHEDULING_MARGIN_S + (_DOWNLOAD_MARGIN_S if downloads else 0.0)
    return model.spec.startup.deadline.seconds + margin_s


def _files(model: StreamingModel, settings: RenderSettings) -> dict[str, str]:
    """The worker's settings, its chat template, and what its downloads are told where it makes them itself."""
    files = {SETTINGS_FILE: config.as_file(worker_settings(model, settings))}
    vllm = model.spec.engine.vllm
    if vllm and vllm.chat_template and vllm.chat_template.inline:
        files[CHAT_TEMPLATE_FILE] = vllm.chat_template.inline
    return files if _is_cached(model) else files | fetch_files(model, settings)


def _is_cached(model: StreamingModel) -> bool:
    return model.spec.model is not None and model.spec.model.cache is not None


def _timeouts(model: StreamingModel) -> TimeoutSettings:
    timeouts = model.spec.timeouts
    return TimeoutSettings(
        queue_s=timeouts.queue.seconds,
        first_token_s=timeouts.first_token.seconds,
        between_tokens_s=timeouts.between_tokens.seconds,
        total_s=timeouts.total.seconds,
    )


def _pod(model: StreamingModel, settings: RenderSettings, config_name: str) -> Manifest:
    read = [config.config_volume(config_name), config.secrets_volume(settings, (USER,)), pods.temporary()]
    mounted = [*read, *shared_memory(model), *volumes_for(model, settings)]
    container = _container(model, [mount for _, mount in mounted], settings)
    deadline_s = model.spec.drain.deadline.seconds
    spec = pods.pod(container, [volume for volume, _ in mounted], deadline_s, settings)
    return spec | _downloads(model, read, settings) | placement(model) | _runtime(model)


def _downloads(model: StreamingModel, read: list[pods.Mounted], settings: RenderSettings) -> Manifest:
    """Without a cache, each worker fetches its weights before it starts."""
    if _is_cached(model) or not downloads_of(model, settings):
        return {}
    mounts = [mount for _, mount in (*read, downloads_volume(model, read_only=False))]
    return {"initContainers": fetch_containers(model, mounts, settings)}


def _runtime(model: StreamingModel) -> Manifest:
    gpu = model.spec.resources.gpu
    return {"runtimeClassName": gpu.runtime_class_name} if gpu and gpu.runtime_class_name else {}


def _container(model: StreamingModel, mounts: list[Manifest], settings: RenderSettings) -> Manifest:
    command = ["python", "-m", "tailrace_worker", "--settings", f"{config.CONFIG_DIRECTORY}/{SETTINGS_FILE}"]
    return (
        pods.container(CONTAINER, _image(model, settings), command, mounts, settings)
        | {"env": _environment(model, settings), "resources": worker_resources(model)}
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


def _environment(model: StreamingModel, settings: RenderSettings) -> list[Manifest]:
    """The user's variables; weights that lie in a directory need no hub, and must not wait for one."""
    ours = [] if settings.local else [dict(variable) for variable in (*pods.HOME, pods.NAME)]
    lying = model.spec.model and directory_of(weights_of(model)[0], settings)
    offline = [{"name": "HF_HUB_OFFLINE", "value": "1"}] if lying else []
    given: list[Manifest] = [{"name": variable.name, "value": variable.value} for variable in model.spec.env]
    return list({variable["name"]: variable for variable in (*ours, *offline, *given)}.values())
