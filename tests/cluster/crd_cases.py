"""Documents that break one bound each, made from the schema: whatever field is added to it is tested.

`FULL` are valid documents that between them set every field. A case is one of them with one value changed; what the API
server must answer names the field.
"""

import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tailrace_operator.crds import structural_schema
from tailrace_operator.resources import StreamingGateway, StreamingModel

Document = dict[str, Any]
Path = tuple[str | int, ...]
SHA = "0123456789abcdef" * 4
FILE = {"url": "https://h/config.json", "sha256": SHA, "name": "config.json"}
POD = {
    "labels": {"team": "a"},
    "annotations": {"example.com/note": "b"},
    "image": "registry/own:1",
    "imagePullSecrets": [{"name": "mine"}],
    "serviceAccountName": "identity",
    "priorityClassName": "high",
    "affinity": {"podAntiAffinity": {}},
    "tolerations": [
        {"key": "k", "operator": "Equal", "value": "v", "effect": "NoExecute", "tolerationSeconds": 5},
    ],
    "topologySpreadConstraints": [
        {"topologyKey": "zone", "maxSkew": 1, "whenUnsatisfiable": "ScheduleAnyway"},
    ],
    "env": [
        {"name": "A", "value": "b"},
        {"name": "B", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
    ],
    "volumes": [{"name": "ca", "configMap": {"name": "ca", "optional": True}}],
    "volumeMounts": [{"name": "ca", "mountPath": "/etc/ca", "subPath": "x", "readOnly": True}],
    "containers": [{"name": "logs", "image": "logs:1"}],
    "initContainers": [{"name": "wait", "image": "wait:1"}],
}
VLLM = {
    "contextLength": 2048,
    "dtype": "float32",
    "quantization": "fp8",
    "maxStreams": 8,
    "maxBatchedTokens": 4096,
    "tensorParallelSize": 1,
    "pipelineParallelSize": 1,
    "gpuMemoryUtilization": 0.9,
    "kvCacheDtype": "fp8",
    "kvCacheMemory": "256Mi",
    "kvOffload": "4Gi",
    "cpuOffload": "1Gi",
    "prefixCaching": False,
    "enforceEager": True,
    "trustRemoteCode": True,
    "chatTemplate": {"inline": "x"},
    "toolCallParser": "hermes",
    "reasoningParser": "deepseek_r1",
    "structuredOutputs": {"backend": "xgrammar"},
    "lora": {"adapters": [{"name": "a", "source": {"path": "a"}}], "maxRank": 64, "maxActive": 1},
    "speculative": {"method": "ngram", "tokens": 5, "ngram": {"min": 1, "max": 64}},
    "extraArgs": ["--block-size=32"],
}
PACE = {"workers": 2, "percent": 100, "period": "1m"}
SCALING = {
    "mode": "Auto",
    "minReplicas": 1,
    "maxReplicas": 1000,
    "targetUtilization": 80,
    "targetInterTokenLatency": "50ms",
    "tolerance": 5,
    "zeroGracePeriod": "10m",
    "scaleDownDelay": "1m",
    "scaleUp": PACE,
    "scaleDown": PACE,
    "schedule": [{"start": "0 8 * * MON-FRI", "end": "0 18 * * *", "timeZone": "Europe/Berlin", "minReplicas": 2}],
    "priority": 0,
    "refuseAfter": "30s",
}
SPEC = {
    "gateway": {"name": "default"},
    "replicas": 1,
    "scaling": SCALING,
    "resources": {
        "gpu": {
            "count": 64,
            "resourceName": "nvidia.com/gpu",
            "nodeSelector": {"gpu": "x"},
            "tolerations": POD["tolerations"],
            "runtimeClassName": "nvidia",
        },
        "cpu": 4,
        "shmSize": "2Gi",
    },
    "nodeSelector": {"pool": "a"},
    "env": [{"name": "A", "value": "b"}],
    "chunking": {"tokens": 1, "maxDelay": "50ms"},
    "timeouts": {"queue": "2m", "firstToken": "1s", "betweenTokens": "1s", "total": "24h"},
    "replay": {"window": "10m", "storage": "memory", "maxBytes": "256Mi"},
    "queue": {"maxWaiting": 256},
    "disconnect": {"policy": "cancel", "grace": "2s"},
    "failover": {"ackWait": "1s", "maxAttempts": 5},
    "startup": {"deadline": "30m"},
    "rollout": {"maxSurge": 1, "maxUnavailable": 1},
    "drain": {"deadline": "30s"},
    "limits": {"maxBodyBytes": "8Mi"},
    "pod": POD,
}
HF = {"hf": {"repo": "o/n", "revision": "main", "tokenSecret": {"name": "hub", "key": "t"}, "endpoint": "http://m"}}
S3 = {"s3": {"bucket": "bbb", "prefix": "p", "endpoint": "http://m", "region": "eu-1", "credentialsSecret": "aws"}}
CACHE = {"size": "1Gi", "storageClassName": "nfs", "accessMode": "ReadWriteMany", "keep": True}
GATEWAY = {
    "replicas": 2,
    "scaling": {
        "mode": "Auto",
        "minReplicas": 1,
        "maxReplicas": 1000,
        "targetConnections": 1000,
        "targetCpu": "600m",
        "scaleDownDelay": "5m",
    },
    "service": {
        "type": "LoadBalancer",
        "annotations": {"a/b": "c"},
        "loadBalancerClass": "a/b",
        "externalTrafficPolicy": "Local",
    },
    "limits": {"maxBodyBytes": "64Mi", "maxUnsentBytes": "256Ki"},
    "heartbeat": "10s",
    "drain": {"deadline": "5m"},
    "resources": {"cpu": "250m", "memory": "64Mi", "memoryLimit": "1Ti"},
    "pod": POD,
}


def model(name: str = "full", **spec: Any) -> Document:
    """A StreamingModel; simulated unless the spec says otherwise."""
    spec = {"engine": {"simulated": {}}, **spec}
    return {
        "apiVersion": "tailrace.dev/v1alpha1",
        "kind": "StreamingModel",
        "metadata": {"name": name},
        "spec": copy.deepcopy(spec),
    }


def gateway(name: str = "full", **spec: Any) -> Document:
    """A StreamingGateway."""
    return {
        "apiVersion": "tailrace.dev/v1alpha1",
        "kind": "StreamingGateway",
        "metadata": {"name": name},
        "spec": copy.deepcopy(spec),
    }


def vllm(
    name: str = "full", source: Document | None = None, model_block: Document | None = None, **fields: Any
) -> Document:
    """A StreamingModel on vLLM."""
    block = {"source": source or {"path": "m"}, **(model_block or {})}
    return model(name, model=block, engine={"vllm": fields})


def _full(source: Document, block: Document | None = None, **fields: Any) -> Document:
    return model(**{**SPEC, "model": {"source": source, **(block or {})}, "engine": {"vllm": {**VLLM, **fields}}})


DRAFT = {"method": "draft", "tokens": 3, "draftModel": S3}
FULL = (
    _full(HF, {"cache": CACHE}),
    _full({"path": "m"}, speculative=DRAFT),
    _full({"pvc": {"claimName": "c", "path": "p"}}, chatTemplate={"path": "t"}),
    _full(S3, {"sizeLimit": "1Gi"}),
    _full({"http": {"files": [FILE]}}),
    model(
        **SPEC
        | {"engine": {"simulated": {"tokensPerSecond": 50.0, "firstToken": "0s", "maxStreams": 64}}}
        # Without what it would have to hold.
        | {"resources": {"memory": "32Gi"}}
    ),
    gateway(**GATEWAY),
)


@dataclass(frozen=True)
class Case:
    """A document, and what the API server says against it (nothing: it takes it)."""

    title: str
    document: Document
    says: str | None

    def named(self, name: str) -> Document:
        return {**self.document, "metadata": {"name": name}}


def bound_cases() -> list[Case]:
    """Every bound of every field: a value on its good side, and one beyond it."""
    schemas = {kind.kind_name: structural_schema(kind) for kind in (StreamingModel, StreamingGateway)}
    cases: dict[str, Case] = {}
    for full in FULL:
        schema = schemas[full["kind"]]["properties"]["spec"]
        for path, part in fields(schema, ("spec",), full["spec"]):
            for label, value, says in values(part):
                title = f"{full['kind']} {spelled(path)} {label}"
                cases.setdefault(title, Case(title, changed(full, path, value), says and f"{spelled(path)}:"))
            for required in part.get("required", []):
                missing = (*path, required)
                title = f"{full['kind']} {spelled(missing)} missing"
                cases.setdefault(title, Case(title, without(full, missing), missing_words(schema, missing)))
    return list(cases.values())


def missing_words(spec: Document, path: Path) -> str:
    """What is said when the field at `path` is missing: of an item's key, server-side apply speaks first."""
    if len(path) > 2 and isinstance(path[-2], int):
        part = spec
        for name in path[1:-2]:
            part = part["items"] if isinstance(name, int) else part["properties"][name]
        if part.get("x-kubernetes-list-map-keys") == [path[-1]]:
            return f'omits all key fields ["{path[-1]}"]'
    return f"{spelled(path)}: Required value"


def untested_fields() -> list[str]:
    """Fields that none of the full documents sets."""
    missing = []
    for kind in (StreamingModel, StreamingGateway):
        fulls = [full["spec"] for full in FULL if full["kind"] == kind.kind_name]
        seen = {
            generic(path)
            for full in fulls
            for path, _ in fields(structural_schema(kind)["properties"]["spec"], (), full)
        }
        missing += [path for path in all_paths(structural_schema(kind)["properties"]["spec"], ()) if path not in seen]
    return missing


def fields(schema: Document, path: Path, value: Any) -> Iterator[tuple[Path, Document]]:
    """The fields that `value` sets, with their schemas."""
    yield path, schema
    if isinstance(value, dict):
        for name, inner in schema.get("properties", {}).items():
            if name in value:
                yield from fields(inner, (*path, name), value[name])
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from fields(schema["items"], (*path, index), item)


def all_paths(schema: Document, path: Path) -> Iterator[str]:
    for name, inner in schema.get("properties", {}).items():
        yield generic((*path, name))
        if "items" in inner:
            yield from all_paths(inner["items"], (*path, name, 0))
        if name not in ("source", "draftModel") or path == ("model",):
            yield from all_paths(inner, (*path, name))


def generic(path: Path) -> str:
    return spelled(tuple(part for part in path if isinstance(part, str)))


def values(part: Document) -> Iterator[tuple[str, Any, str | None]]:
    """Values of one field: what they are, the value, and whether it is refused."""
    kind = part.get("type")
    if kind in ("integer", "number"):
        step = 1 if kind == "integer" else 0.01
        if "minimum" in part:
            yield "at least", part["minimum"], None
            yield "too little", part["minimum"] - step, "refused"
        if "maximum" in part:
            yield "at most", part["maximum"], None
            yield "too much", part["maximum"] + step, "refused"
    if "enum" in part:
        yield "unknown", "no-such-value" if kind == "string" else 7, "refused"
    if kind == "string" and "enum" not in part:
        if "pattern" in part:
            yield "misspelt", " ", "refused"
        if "maxLength" in part:
            yield "too long", "x" * (part["maxLength"] + 1), "refused"
    if kind == "array" and "maxItems" in part:
        yield "too many", part["maxItems"] + 1, "refused"
    if kind == "array" and part.get("minItems"):
        yield "too few", [], "refused"
    if "maxProperties" in part:
        yield "too many", {f"a{number}": "b" for number in range(part["maxProperties"] + 1)}, "refused"
    yield from ranges(part)


def ranges(part: Document) -> Iterator[tuple[str, Any, str | None]]:
    """Durations and quantities, whose bounds are rules."""
    for rule in part.get("x-kubernetes-validations", []):
        found = re.fullmatch(r"must lie between (\S+) and (\S+)", rule["message"])
        if found is None:
            continue
        least, most = found.groups()
        yield "at least", least, None
        yield "at most", most, None
        yield "too much", f"1{most}" if most[0] != "9" else f"9{most}", "refused"
        if least != "0s":
            yield "too little", "0s" if "duration" in rule["rule"] else "0", "refused"


def changed(document: Document, path: Path, value: Any) -> Document:
    """The document with another value at `path`; a number for a list is how many items it has."""
    result = copy.deepcopy(document)
    block = result
    for part in path[:-1]:
        block = block[part]
    if isinstance(block[path[-1]], list) and isinstance(value, int):
        value = repeated(block[path[-1]], value)
    block[path[-1]] = value
    return result


def repeated(items: list[Any], count: int) -> list[Any]:
    """`count` items like the first one, told apart by the fields that may tell them apart."""
    if not isinstance(items[0], dict):
        return [items[0]] * count
    keys = ("name", "mountPath", "topologyKey", "key")
    return [
        {**items[0], **{key: f"{items[0][key]}{number}" for key in keys if key in items[0]}} for number in range(count)
    ]


def without(document: Document, path: Path) -> Document:
    result = copy.deepcopy(document)
    block = result
    for part in path[:-1]:
        block = block[part]
    block.pop(path[-1], None)
    return result


def spelled(path: Path) -> str:
    """A path as the API server writes it."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")
