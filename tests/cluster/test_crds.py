"""The custom resources on a real API server: every bound and rule, defaults, what cannot change, and upgrades.

The documents of bounds are made from the schema, so that a new field is tested from its first day; types and API server
must be of one mind about each.
"""

from pathlib import Path

import pytest
import yaml
from crd_cases import bound_cases, gateway, model, untested_fields, vllm
from crd_rules import RULES
from dry_run import dry_run
from harness import launch
from harness.cluster import API
from pydantic import ValidationError
from tailrace_operator.crds import custom_resource_definitions
from tailrace_operator.resources import StreamingGateway, StreamingModel

ROOT = Path(__file__).parents[2]
KINDS = {kind.kind_name: kind for kind in (StreamingModel, StreamingGateway)}
CRDS = custom_resource_definitions()
BOUNDS = {case.title: case for case in bound_cases()}
HF = {"hf": {"repo": "o/n"}}


def install(cluster):
    """Install the present CRDs, or bring what is there up to date, and wait until they are served."""
    for definition in CRDS.values():
        cluster.define(definition)


@pytest.fixture(scope="module")
def crds(api):
    install(api)
    return api


@pytest.fixture(scope="module")
def server(crds):
    with dry_run(crds) as found:
        yield found


def types_refuse(document) -> bool:
    try:
        KINDS[document["kind"]].parse(document)
    except ValidationError:
        return True
    return False


def test_every_field_has_its_bounds_tested():
    assert untested_fields() == []


@pytest.mark.parametrize("title", BOUNDS)
def test_a_bound_holds_and_the_answer_names_the_field(server, title):
    case = BOUNDS[title]
    said = server.apply(case.document).complaint

    if case.says is None:
        assert said == ""
    else:
        assert case.says in said
    assert types_refuse(case.document) is bool(said), "the types and the API server must agree"


@pytest.mark.parametrize(("message", "good", "bad"), RULES, ids=[message[:50] for message, _, _ in RULES])
def test_a_rule_holds_on_both_sides_of_its_limit(server, message, good, bad):
    for document in good:
        assert server.apply(document).complaint == ""
        assert not types_refuse(document)
    for document in bad:
        assert message in server.apply(document).complaint
        assert types_refuse(document)


def messages_of(schema, path=()):
    """Of all rules but those of ranges, which are bounds, with their places."""
    for rule in schema.get("x-kubernetes-validations", []):
        if not rule["message"].startswith("must lie between"):
            yield path, rule["message"]
    inner = [
        *schema.get("properties", {}).items(),
        ("[]", schema.get("items")),
        ("{}", schema.get("additionalProperties")),
    ]
    for name, part in inner:
        if isinstance(part, dict):
            yield from messages_of(part, (*path, name))


def breaks(document, path):
    """Whether the types find fault with a document at that place or below it, which having something there is not."""
    try:
        KINDS[document["kind"]].parse(document)
    except ValidationError as error:
        places = [["[]" if isinstance(part, int) else part for part in found["loc"]] for found in error.errors()]
        return any(place[: len(path)] == list(path) for place in places)
    return False


def reaches(document, path):
    """Whether a document has something at that place."""
    if not path:
        return True
    name, *rest = path
    if name in ("[]", "{}"):
        return any(reaches(part, rest) for part in (document if name == "[]" else document.values()))
    return name in document and reaches(document[name], rest)


MINIMAL = {"model": model("minimal"), "vllm": vllm("minimal", HF), "gateway": gateway("minimal")}


@pytest.mark.parametrize("document", MINIMAL.values(), ids=MINIMAL)
def test_the_api_server_fills_in_the_same_defaults_as_the_types(server, document):
    types = KINDS[document["kind"]].parse(document)

    filled = types.model_dump(mode="json", by_alias=True, exclude_none=True)["spec"]
    assert server.apply(document).stored["spec"] == filled


def test_a_gateway_needs_no_spec(server):
    document = gateway("bare")
    del document["spec"]

    assert server.apply(document).stored["spec"]["replicas"] == 2


@pytest.mark.parametrize(
    ("document", "field"),
    [
        (model(replica=1), "spec.replica"),
        (vllm(maxModelLen=5), "spec.engine.vllm.maxModelLen"),
        (gateway(auth={}), "spec.auth"),
    ],
)
def test_an_unknown_field_is_named(server, document, field):
    assert f".{field}: field not declared in schema" in server.apply(document).complaint


CACHED = {"cache": {"size": "2Gi", "storageClassName": "nfs"}}
CHANGES = [
    (model(replay={"storage": "memory"}), model(replay={"storage": "file"}), "replay.storage cannot be changed"),
    (
        vllm(source=HF, model_block=CACHED),
        vllm(source=HF, model_block={"cache": {**CACHED["cache"], "size": "2047Mi"}}),
        "cache.size can grow but not shrink",
    ),
    (
        vllm(source=HF, model_block=CACHED),
        vllm(source=HF, model_block={"cache": {**CACHED["cache"], "storageClassName": "other"}}),
        "cache.storageClassName cannot be changed",
    ),
    (
        vllm(source=HF, model_block=CACHED),
        vllm(source=HF, model_block={"cache": {"size": "2Gi"}}),
        "cache.storageClassName cannot be changed",
    ),
    (
        vllm(source=HF, model_block={"cache": {"size": "2Gi"}}),
        vllm(source=HF, model_block=CACHED),
        "cache.storageClassName cannot be changed",
    ),
    (
        vllm(source=HF, model_block={"cache": {"size": "2Gi"}}),
        vllm(source=HF, model_block={"cache": {"size": "2Gi", "accessMode": "ReadWriteOnce"}}),
        "cache.accessMode cannot be changed",
    ),
    (
        vllm(source=HF, model_block=CACHED),
        vllm(source=HF, model_block={"cache": {**CACHED["cache"], "size": "3Gi"}}),
        None,
    ),
    (vllm(source=HF, model_block=CACHED), vllm(source={"hf": {"repo": "o/other"}}, model_block=CACHED), None),
    (model(replay={"storage": "file"}), model(replay={"storage": "file", "window": "5m"}), None),
    (vllm(source=HF, model_block=CACHED), vllm(source=HF), None),
]


@pytest.mark.parametrize(("before", "after", "says"), CHANGES)
def test_what_may_change_and_what_may_not(crds, server, api_namespace, before, after, says):
    crds.apply(before, api_namespace)
    said = server.apply(after, api_namespace).complaint

    assert says in said if says else said == ""


def test_every_rule_is_tested_at_each_of_its_places():
    tested = [(message, bad, breaks) for message, _, documents in RULES for bad in documents]
    tested += [(says, after, reaches) for _, after, says in CHANGES if says]
    for definition in CRDS.values():
        kind = definition["spec"]["names"]["kind"]
        for path, message in messages_of(definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]):
            broken = [(bad, at) for begin, bad, at in tested if message.startswith(begin) and bad["kind"] == kind]
            assert any(at(bad, path) for bad, at in broken), (kind, path, message)


def test_scaling_sets_the_replicas(crds, api_namespace):
    for document, kind in ((model("scaled"), "sm"), (gateway("scaled"), "sg")):
        crds.apply(document, api_namespace)
        crds.kubectl("scale", f"{kind}/scaled", "--replicas=7", "-n", api_namespace)
        assert crds.get(kind, "scaled", api_namespace)["spec"]["replicas"] == 7


@pytest.mark.parametrize(
    ("document", "status", "printed"),
    [
        (model("shown"), {"readyReplicas": 2, "streams": 11, "queued": 3}, ["shown", "True", "2", "11", "3"]),
        (
            gateway("shown"),
            {"readyReplicas": 2, "models": 5, "address": "http://10.0.0.1"},
            ["shown", "True", "2", "5", "http://10.0.0.1"],
        ),
    ],
    ids=["model", "gateway"],
)
def test_kubectl_get_prints_what_matters(crds, api_namespace, document, status, printed):
    crds.apply(document, api_namespace)
    condition = {
        "type": "Ready",
        "status": "True",
        "reason": "Serving",
        "message": "2 of 2 serve",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
        "observedGeneration": 1,
    }
    shown = {**document, "status": {**status, "conditions": [condition]}}
    del shown["spec"]
    crds.apply(shown, api_namespace, "--subresource=status", "--field-manager=test")
    _, line = crds.kubectl("get", document["kind"], "-n", api_namespace).splitlines()

    assert line.split()[:5] == printed


def test_a_status_cannot_be_written_with_the_spec_nor_the_spec_with_the_status(crds, api_namespace):
    crds.apply(model("apart") | {"status": {"streams": 5}}, api_namespace)
    assert "streams" not in crds.get("sm", "apart", api_namespace).get("status", {})
    crds.apply(model("apart", replicas=9), api_namespace, "--subresource=status", "--field-manager=other")
    assert crds.get("sm", "apart", api_namespace)["spec"]["replicas"] == 1


@pytest.mark.parametrize("file", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda file: file.stem)
def test_an_example_is_taken(server, file):
    for document in yaml.safe_load_all(file.read_text()):
        assert server.apply(document).complaint == ""


def old_document(name, args):
    spec = {"model": {"source": {"path": "m"}}, "engine": {"vllm": {"extraArgs": args}}}
    return model(name, **spec, env=[{"name": "A", "value": "1"}])


@pytest.fixture
def old_cluster(api):
    """A cluster of its own with the first release's CRD: the others' must not lose fields meanwhile."""
    if api.level != API:
        pytest.skip("replaces the CRDs of the whole cluster: only on one of the tests' own")
    cluster = launch.start(API)
    first = yaml.safe_load((Path(__file__).parent / "first_release_crd.yaml").read_text())
    cluster.apply(first)
    cluster.wait_condition("crd", first["metadata"]["name"], None, "Established")
    yield cluster
    cluster.stop()


def test_an_upgrade_of_the_crds_leaves_live_objects_alone(old_cluster):
    cluster = old_cluster
    cluster.apply([old_document("plain", ["--seed=1"]), old_document("typed", ["--enforce-eager"])], "default")
    before = {name: cluster.get("sm", name, "default") for name in ("plain", "typed")}
    install(cluster)

    for name, old in before.items():
        new = cluster.get("sm", name, "default")
        assert (new["metadata"]["uid"], new["metadata"]["generation"]) == (old["metadata"]["uid"], 1)
        assert new["spec"]["engine"]["vllm"]["extraArgs"] == old["spec"]["engine"]["vllm"]["extraArgs"]
        assert new["spec"]["gateway"] == {"name": "default"}, "new fields have their defaults"
        # What an older release took and this one would refuse stays until somebody touches that very field.
        cluster.kubectl("scale", f"sm/{name}", "--replicas=3", "-n", "default")
        cluster.kubectl("label", "sm", name, "a=b", "-n", "default")
        assert cluster.get("sm", name, "default")["spec"]["replicas"] == 3
    with dry_run(cluster) as server:
        assert "use the field" in server.apply(old_document("typed", ["--enforce-eager", "--seed=1"])).complaint
        assert server.apply(old_document("typed", ["--seed=1"])).complaint == ""


def test_a_going_back_to_the_older_crds_loses_no_object(old_cluster):
    cluster = old_cluster
    old = yaml.safe_load((Path(__file__).parent / "first_release_crd.yaml").read_text())
    install(cluster)
    cluster.apply(model("new", pod={"labels": {"a": "b"}}), "default")
    cluster.apply(old, None, "--force-conflicts")

    assert cluster.get("sm", "new", "default")["spec"]["engine"]["simulated"]
    install(cluster)
    assert cluster.get("sm", "new", "default")["spec"]["pod"]["labels"] == {"a": "b"}
