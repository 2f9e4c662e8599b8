"""Downloading a model's weights: once onto its cache, by a Job; or before each worker, by its init containers.

Both run the same fetcher on the same settings. It starts again until it succeeds: what is wrong (a token that is
refused, a full disk) may be put right at any time, and its last words tell meanwhile.
"""

import hashlib
import json

from tailrace_protocol.fetch import FetchSettings, FetchSource, HttpFile, HttpSource, HubSource, S3Source

from tailrace_operator.render import config, pods
from tailrace_operator.render.metadata import metadata
from tailrace_operator.render.overrides import with_overrides_for_download
from tailrace_operator.render.placement import placement, shared_labels
from tailrace_operator.render.rendered import Manifest
from tailrace_operator.render.settings import RenderSettings
from tailrace_operator.render.weights import DOWNLOADS, Weights, cache_name, digest_of, downloads_of, downloads_volume
from tailrace_operator.resources import StreamingModel
from tailrace_operator.resources.pod import FETCH_PREFIX
from tailrace_operator.resources.quantity import canonical
from tailrace_operator.resources.source import Source

#: The broker's user that reports progress.
USER = "worker"
_TOKEN_VARIABLE = "HF_TOKEN"  # noqa: S105 - the variable's name
_AWS_VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
_REQUESTS = {"cpu": "100m", "memory": "256Mi"}
_LIMITS = {"memory": "1Gi"}
#: What a stopped fetcher may take to write down how far it came, in seconds.
_STOP_S = 15.0
#: The kubelet's own pauses between tries keep this from being many.
_TRIES = 1_000_000
_DIGITS = 10


def fetch_files(model: StreamingModel, settings: RenderSettings) -> dict[str, str]:
    """The settings file of each download."""
    downloads = downloads_of(model, settings)
    return {_file(weights): config.as_file(fetch_settings(model, weights, settings)) for weights in downloads}


def fetch_settings(model: StreamingModel, weights: Weights, settings: RenderSettings) -> FetchSettings:
    """What the fetcher is told about one download."""
    return FetchSettings(
        namespace=model.key.namespace,
        model=model.key.name,
        target=f"{DOWNLOADS}/{digest_of(weights.source)}",
        source=_source(weights.source),
        nats=config.nats_settings(USER, settings),
    )


def fetch_containers(model: StreamingModel, mounts: list[Manifest], settings: RenderSettings) -> list[Manifest]:
    """One container for each download, to run one after the other; `mounts` must let them write."""
    return [_container(model, weights, mounts, settings) for weights in downloads_of(model, settings)]


def cache_volume(model: StreamingModel) -> Manifest:
    """The claim of the model's cache."""
    assert model.spec.model is not None, "asked for by models with a cache"  # noqa: S101
    assert model.spec.model.cache is not None, "asked for by models with a cache"  # noqa: S101
    cache = model.spec.model.cache
    described = metadata(cache_name(model), "cache", model, kept=cache.keep)
    spec: Manifest = {
        "accessModes": [cache.access_mode],
        "resources": {"requests": {"storage": canonical(cache.size)}},
    }
    spec |= {"storageClassName": cache.storage_class_name} if cache.storage_class_name else {}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": described, "spec": spec}


def fetch_job(model: StreamingModel, settings: RenderSettings) -> tuple[Manifest, Manifest]:
    """The settings of the Job that fills the cache, and the Job, named by a digest of all that it is made of."""
    name = f"{model.key.name}-fetch"
    described = metadata(name, "fetch", model)
    files = config.config_map(described, fetch_files(model, settings))
    spec = {"backoffLimit": _TRIES, "template": _template(model, described, settings)}
    made_of = json.dumps([spec, files["data"]], sort_keys=True).encode()
    described = metadata(f"{name}-{hashlib.sha256(made_of).hexdigest()[:_DIGITS]}", "fetch", model)
    return files, {"apiVersion": "batch/v1", "kind": "Job", "metadata": described, "spec": spec}


def _template(model: StreamingModel, described: Manifest, settings: RenderSettings) -> Manifest:
    read = [config.config_volume(described["name"]), config.secrets_volume(settings, (USER,))]
    mounted = [*read, pods.temporary(), downloads_volume(model, read_only=False)]
    containers = fetch_containers(model, [mount for _, mount in mounted], settings)
    pod = pods.pod(containers[0], [volume for volume, _ in mounted], _STOP_S, settings) | {"restartPolicy": "OnFailure"}
    pod |= {"initContainers": containers[1:]} if containers[1:] else {}
    pod |= placement(model)
    labels = described["labels"] | shared_labels(model)
    return with_overrides_for_download({"metadata": {"labels": labels}, "spec": pod}, model.spec.pod)


def _container(model: StreamingModel, weights: Weights, mounts: list[Manifest], settings: RenderSettings) -> Manifest:
    command = ["python", "-m", "tailrace_fetcher", "--settings", f"{config.CONFIG_DIRECTORY}/{_file(weights)}"]
    limit = model.spec.model.size_limit if model.spec.model else None
    disk = {"ephemeral-storage": canonical(limit)} if limit else {}
    return pods.container(f"{FETCH_PREFIX}{weights.role}", settings.fetcher_image, command, mounts, settings) | {
        "env": [*pods.HOME, *_secrets(weights.source)],
        "resources": {"requests": _REQUESTS | disk, "limits": _LIMITS},
    }


def _file(weights: Weights) -> str:
    return f"{FETCH_PREFIX}{weights.role}.json"


def _source(source: Source) -> FetchSource:
    if source.hf is not None:
        return HubSource(source.hf.repo, source.hf.revision, _TOKEN_VARIABLE, source.hf.endpoint or "")
    if source.s3 is not None:
        return S3Source(source.s3.bucket, source.s3.prefix, source.s3.endpoint or "", source.s3.region or "")
    assert source.http is not None, "a rule of the resource"  # noqa: S101
    return HttpSource([HttpFile(file.url, file.sha256, file.name) for file in source.http.files])


def _secrets(source: Source) -> list[Manifest]:
    if source.hf is not None and source.hf.token_secret is not None:
        return [_from_secret(_TOKEN_VARIABLE, source.hf.token_secret.name, source.hf.token_secret.key)]
    if source.s3 is not None and source.s3.credentials_secret is not None:
        return [_from_secret(name, source.s3.credentials_secret, name) for name in _AWS_VARIABLES]
    return []


def _from_secret(variable: str, secret: str, key: str) -> Manifest:
    return {"name": variable, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}
