"""Wrong values are refused before anything is installed, by a message that names the value."""

import json

import pytest
import yaml

from .helm import CHART, ROOT, RefusedError

VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA = json.loads((CHART / "values.schema.json").read_text())

#: Each wrong value, and what the message must hold.
REFUSED = [
    ("nats.replicas", 2, "one of 1, 3"),
    ("nats.replicas", "3", "one of 1, 3"),
    ("nats.replica", 3, "'replica' not allowed"),
    ("natz", {}, "'natz' not allowed"),
    ("crds.enabled", "yes", "want boolean"),
    ("crds.enable", True, "'enable' not allowed"),
    ("watchNamespaces", "team-a", "want array"),
    ("watchNamespaces", ["Team A"], "/watchNamespaces/0"),
    ("watchNamespaces", ["a", "a"], "items at 0 and 1 are equal"),
    ("images.pullPolicy", "Sometimes", "'Always', 'IfNotPresent', 'Never'"),
    ("images.pullSecrets", ["registry"], "want object"),
    ("images.operator.digest", "abc", "/images/operator/digest"),
    ("images.operator.tag", 1.0, "want string"),
    ("images.worker.repository", "Tailrace/Worker", "/images/worker/repository"),
    ("operator.log.level", "verbose", "'debug', 'info', 'warning', 'error'"),
    ("operator.resources.memory", "1Gi", "'memory' not allowed"),
    ("operator.terminationGracePeriodSeconds", 0, "got 0, want 1"),
    ("operator.terminationGracePeriodSeconds", 601, "got 601, want 600"),
    ("fullnameOverride", "Streams", "/fullnameOverride"),
    ("modelRoot", "models", "/modelRoot"),
    ("broker.queueMaxBytes", "64M", "/broker/queueMaxBytes"),
    ("broker.queueMaxBytes", 64, "want string"),
    ("broker.logMaxBytes", "0Gi", "/broker/logMaxBytes"),
    ("nats.image.tag", "", "/nats/image/tag"),
    ("nats.auth.secretName", "", "/nats/auth/secretName"),
    ("nats.jetstream.memoryStore.maxSize", "0Gi", "/nats/jetstream/memoryStore/maxSize"),
    ("nats.jetstream.fileStore.pvc.size", "20G", "/nats/jetstream/fileStore/pvc/size"),
    ("nats.jetstream.fileStore.syncInterval", "never", "/nats/jetstream/fileStore/syncInterval"),
    ("nats.maxPayload", "512Ki", "/nats/maxPayload"),
    ("nats.lameDuck.gracePeriod", "1h", "/nats/lameDuck/gracePeriod"),
    ("nats.external.servers", ["nats.example.com:4222"], "/nats/external/servers/0"),
    ("nats.external.servers", ["nats://user:word@host:4222"], "/nats/external/servers/0"),
    ("nats.external.servers", ["nats://a:4222", "wss://a:443"], "does not match pattern '^(nats|tls)://"),
    ("nats.external.replicas", 2, "one of 1, 3, 5"),
    ("exposure.ingresses", [{"host": "a.example.com"}], "missing property 'namespace'"),
    ("exposure.ingresses", [{"host": "a b", "namespace": "x"}], "/exposure/ingresses/0/host"),
    ("exposure.ingresses", [{"host": "a", "namespace": "x", "hosts": []}], "'hosts' not allowed"),
    ("exposure.ingresses", [{"host": "a", "namespace": "x", "path": "v1"}], "/exposure/ingresses/0/path"),
    ("exposure.ingresses", [{"host": "a", "namespace": "x", "tls": {}}], "missing property 'secretName'"),
    ("exposure.httpRoutes", [{"namespace": "x"}], "missing property 'parentRefs'"),
    ("exposure.httpRoutes", [{"namespace": "x", "parentRefs": []}], "got 0, want 1"),
    ("metrics.podMonitor.interval", "15", "/metrics/podMonitor/interval"),
    ("metrics.prometheusRule.disabled", ["Watchdog"], "/metrics/prometheusRule/disabled/0"),
    ("commonLabels", {"team": "a b"}, "/commonLabels/team"),
    ("extraObjects", [1], "/extraObjects/0"),
]


def nested(path, value):
    """`a.b` and 1 as `{"a": {"b": 1}}`."""
    for name in reversed(path.split(".")):
        value = {name: value}
    return value


@pytest.mark.parametrize(("path", "value", "words"), REFUSED, ids=lambda part: str(part)[:40])
def test_a_wrong_value_is_refused_by_a_message_that_names_it(helm, path, value, words):
    with pytest.raises(RefusedError) as refusal:
        helm.template(nested(path, value))
    assert words in str(refusal.value)
    assert f"at '{''.join(f'/{name}' for name in path.split('.')[:-1])}" in str(refusal.value)


#: Values that are wrong together, and the sentence that says so; beside them the nearest ones that are right.
TOGETHER = [
    (
        {"nats": {"enabled": False}},
        {"nats": {"enabled": False, "external": {"servers": ["nats://a:4222"]}}},
        "nats.external.servers: is empty while nats.enabled is off: name a NATS server (nats://host:4222)",
    ),
    (
        {"serviceAccount": {"create": False}},
        {"serviceAccount": {"create": False, "name": "mine"}},
        "serviceAccount.name: is empty while serviceAccount.create is off: name the ServiceAccount",
    ),
    (
        {"nats": {"jetstream": {"memoryStore": {"maxSize": "2817Mi"}}}},
        {"nats": {"jetstream": {"memoryStore": {"maxSize": "2816Mi"}}}},
        "3072Mi cannot hold a memory store of 2817Mi and the server itself: set at least 3073Mi",
    ),
    (
        {"nats": {"jetstream": {"fileStore": {"maxSize": "21Gi"}}}},
        {"nats": {"jetstream": {"fileStore": {"maxSize": "20Gi"}}}},
        "nats.jetstream.fileStore.maxSize: 21Gi does not fit on a volume of 20Gi",
    ),
    (
        {"broker": {"payloadsMaxBytes": "18433Mi"}},
        {"broker": {"payloadsMaxBytes": "18432Mi"}},
        "broker.payloadsMaxBytes: 18433Mi do not fit into a file store of 18432Mi: lower it, or raise nats.jetstream",
    ),
    (
        {"nats": {"maxPayload": "65Mi"}},
        {"nats": {"maxPayload": "64Mi"}},
        "nats.maxPayload: NATS takes messages of 64Mi at most, not 65Mi",
    ),
    (
        {"nats": {"lameDuck": {"duration": "29s"}}},
        {"nats": {"lameDuck": {"duration": "30s"}}},
        "nats.lameDuck.duration: NATS refuses less than 30s, and 29s is given",
    ),
]


@pytest.mark.parametrize(("wrong", "right", "sentence"), TOGETHER, ids=lambda part: str(part)[:30])
def test_values_that_cannot_work_together_are_refused_with_the_remedy(helm, wrong, right, sentence):
    with pytest.raises(RefusedError) as refusal:
        helm.template(wrong)
    assert sentence in str(refusal.value)
    helm.template(right)


def leaves(schema, value, path=()):
    """Every object in values.yaml that the schema describes by its fields, with both sides' names."""
    schema = resolved(schema)
    if "properties" in schema:
        yield path, set(schema["properties"]), set(value)
        for name in set(schema["properties"]) & set(value):
            if isinstance(value[name], dict):
                yield from leaves(schema["properties"][name], value[name], (*path, name))


def resolved(schema):
    return SCHEMA["definitions"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema


@pytest.mark.parametrize(("path", "described", "given"), [*leaves(SCHEMA, VALUES)], ids=lambda part: str(part)[:40])
def test_the_schema_knows_every_value_and_no_other(path, described, given):
    missing = described - given
    optional = {(): {"global"}, ("operator", "resources"): {"claims"}, ("nats", "resources"): {"claims"}}
    assert given <= described
    assert missing <= optional.get(path, set()) | ({"claims"} if "resources" in path else set())


def blocks(schema, path="values"):
    """Every object of the schema that lists its fields."""
    if "properties" in schema:
        yield path, schema
    for key, inner in schema.items():
        if isinstance(inner, dict):
            yield from blocks(inner, f"{path}.{key}")


@pytest.mark.parametrize(("path", "block"), [*blocks(SCHEMA)], ids=lambda part: part if isinstance(part, str) else "")
def test_the_schema_refuses_unknown_names_everywhere(path, block):
    assert block["additionalProperties"] is False


def test_a_parent_chart_may_pass_its_global_values(helm):
    assert helm.template({"global": {"anything": 1}})


def test_helm_lint_finds_nothing_to_complain_about(helm):
    printed = helm.run("lint", CHART, "--strict")
    assert "0 chart(s) failed" in printed
    assert "[WARNING]" not in printed


def test_the_chart_has_the_version_of_the_packages():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    version = f'version = "{chart["appVersion"]}"'
    assert version in (ROOT / "operator" / "pyproject.toml").read_text()
    assert version in (ROOT / "gateway" / "pyproject.toml").read_text()
