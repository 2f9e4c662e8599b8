"""Where a worker finds its weights (the model's own, a draft model's, adapters'), and which must be fetched first.

Every source ends as a directory in the worker's container. A download lies below a digest of its source, so that a
changed source never overwrites what running workers read.
"""

import hashlib
import json
import posixpath
from dataclasses import dataclass

from tailrace_operator.render.pods import Mounted
from tailrace_operator.render.rendered import Manifest
from tailrace_operator.render.settings import RenderSettings
from tailrace_operator.resources import StreamingModel
from tailrace_operator.resources.pod import VOLUME_PREFIX
from tailrace_operator.resources.quantity import canonical
from tailrace_operator.resources.source import Source

#: Where what was downloaded is mounted; the model's cache, or room on the node's disk.
DOWNLOADS = "/downloads"
_VOLUMES = "/volumes"
_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Weights:
    """One set of weights; `role` tells it apart from the model's others, `field` is where it stands in the resource."""

    role: str
    source: Source
    field: str


def weights_of(model: StreamingModel) -> list[Weights]:
    """All weights of `model`, its own first."""
    spec, vllm = model.spec, model.spec.engine.vllm
    found = [Weights("model", spec.model.source, "spec.model.source")] if spec.model else []
    if vllm and vllm.speculative and vllm.speculative.draft_model:
        found.append(Weights("draft", vllm.speculative.draft_model, "spec.engine.vllm.speculative.draftModel"))
    for number, adapter in enumerate(vllm.lora.adapters if vllm and vllm.lora else []):
        field = f"spec.engine.vllm.lora.adapters[{number}].source"
        found.append(Weights(f"adapter-{number}", adapter.source, field))
    return found


def downloads_of(model: StreamingModel, settings: RenderSettings) -> list[Weights]:
    """The weights that must be fetched; where vLLM itself does it, none."""
    return [] if settings.local else [weights for weights in weights_of(model) if weights.source.is_downloaded]


def directory_of(weights: Weights, settings: RenderSettings) -> str | None:
    """Where a worker reads these weights, or `None` where vLLM downloads them itself."""
    source = weights.source
    if source.path is not None:
        return posixpath.join(settings.model_root, source.path)
    if source.pvc is not None:
        return posixpath.join(_VOLUMES, weights.role, source.pvc.path).rstrip("/")
    return None if settings.local else f"{DOWNLOADS}/{digest_of(source)}"


def digest_of(source: Source) -> str:
    """Tells sources apart by what they hold; who may read it, and through which mirror, makes no difference."""
    access = {"hf": {"token_secret", "endpoint"}, "s3": {"credentials_secret"}}
    held = source.model_dump(mode="json", exclude_none=True, exclude=access)
    return hashlib.sha256(json.dumps(held, sort_keys=True).encode()).hexdigest()[:_DIGITS]


def volumes_for(model: StreamingModel, settings: RenderSettings) -> list[Mounted]:
    """The volumes that a worker reads weights from."""
    lying = [mounted for weights in weights_of(model) if (mounted := _volume_of(weights, settings))]
    fetched = [downloads_volume(model, read_only=True)] if downloads_of(model, settings) else []
    return lying + fetched


def downloads_volume(model: StreamingModel, *, read_only: bool) -> Mounted:
    """The volume that downloads are written to: the cache, or a directory of the node that goes with the pod."""
    name = f"{VOLUME_PREFIX}downloads"
    mount = {"name": name, "mountPath": DOWNLOADS} | ({"readOnly": True} if read_only else {})
    assert model.spec.model is not None, "only models have weights"  # noqa: S101
    if model.spec.model.cache:
        return {"name": name, "persistentVolumeClaim": {"claimName": cache_name(model)}}, mount
    limit = model.spec.model.size_limit
    return {"name": name, "emptyDir": {"sizeLimit": canonical(limit)} if limit else {}}, mount


def cache_name(model: StreamingModel) -> str:
    """The name of the model's cache volume."""
    return f"{model.key.name}-cache"


def _volume_of(weights: Weights, settings: RenderSettings) -> Mounted | None:
    name, source = f"{VOLUME_PREFIX}{weights.role}", weights.source
    if source.path is not None:
        directory = directory_of(weights, settings)
        host: Manifest = {"name": name, "hostPath": {"path": directory, "type": "Directory"}}
        return host, {"name": name, "mountPath": directory, "readOnly": True}
    if source.pvc is not None:
        claim = {"claimName": source.pvc.claim_name, "readOnly": True}
        mount = {"name": name, "mountPath": f"{_VOLUMES}/{weights.role}", "readOnly": True}
        return {"name": name, "persistentVolumeClaim": claim}, mount
    return None
