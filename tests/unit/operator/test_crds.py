"""The generated CRD: current, structural, and of one mind with the types."""

import re
from pathlib import Path

import jsonschema
import pytest
import yaml
from tailrace_operator.crds import custom_resource_definitions, structural_schema, text_of
from tailrace_operator.crds.__main__ import main
from tailrace_operator.crds.chart import chart_text_of
from tailrace_operator.crds.reference import reference_page
from tailrace_operator.resources import StreamingGateway, StreamingModel

ROOT = Path(__file__).parents[3]
CRDS = ROOT / "crds"
KINDS = (StreamingModel, StreamingGateway)


def walk(schema, path="$"):
    yield path, schema
    for name, inner in schema.get("properties", {}).items():
        yield from walk(inner, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield from walk(schema[key], f"{path}[]")


def test_the_files_are_current():
    chart, reference = ROOT / "charts/tailrace/templates/crds", ROOT / "docs/crd-reference.md"

    assert main([str(CRDS), "--chart", str(chart), "--reference", str(reference), "--check"]) == 0


def test_a_stale_file_is_told_apart(tmp_path, capsys):
    assert main([str(tmp_path), "--check"]) == 1
    assert "run `make crds`" in capsys.readouterr().err
    assert main([str(tmp_path)]) == 0
    assert main([str(tmp_path), "--check"]) == 0


@pytest.fixture(params=KINDS, ids=lambda kind: kind.kind_name)
def schema(request):
    return structural_schema(request.param)


def test_the_schema_is_structural(schema):
    for path, part in walk(schema):
        if part.get("x-kubernetes-int-or-string"):
            assert part["anyOf"] == [{"type": "integer"}, {"type": "string"}], path
            continue
        assert "type" in part, path
        forbidden = {"$ref", "anyOf", "oneOf", "allOf", "const", "title", "$defs", "exclusiveMinimum"}
        assert not part.keys() & forbidden, path
        assert part.get("additionalProperties") is not False, path
        assert part["type"] != "integer" or part["format"] == "int64", path


def test_every_field_is_described(schema):
    undescribed = [path for path, part in walk(schema) if "description" not in part]

    assert [path for path in undescribed if not path.endswith("[]")] == ["$.metadata"]


def test_strings_lists_and_maps_are_bounded_so_that_rules_are_cheap(schema):
    for path, part in walk(schema["properties"]["spec"], "spec"):
        if part.get("type") == "string":
            assert part.keys() & {"maxLength", "enum"}, path
        if part.get("type") == "array":
            assert "maxItems" in part, path
        if "additionalProperties" in part:
            assert "maxProperties" in part, path


def test_blocks_default_to_empty_so_that_their_fields_default():
    spec = structural_schema(StreamingModel)["properties"]["spec"]["properties"]

    assert all(spec[name]["default"] == {} for name in ("replay", "chunking", "drain", "resources"))
    inner = {name: field["default"] for name, field in spec["timeouts"]["properties"].items()}
    assert spec["timeouts"]["default"] == inner == {**inner, "total": "1h"}


def test_rules_are_in_the_schema():
    schema = structural_schema(StreamingModel)
    texts = [rule["rule"] for _, part in walk(schema) for rule in part.get("x-kubernetes-validations", [])]

    assert "self == oldSelf" in texts
    assert "has(self.vllm) != has(self.simulated)" in texts
    assert "duration(self) >= duration('200ms') && duration(self) <= duration('1m')" in texts
    assert any("self.metadata.name.size() <= 40" in text for text in texts)
    assert len(texts) >= 20


#: What is wrong, and then what to do, as an order; of a range the bounds are the remedy. A reason is none.
REMEDY = r"(^|: |, so )(choose|delete|keep|leave|lower|name|raise|set|use) |^must lie between "


def test_every_rule_says_what_to_do(schema):
    for path, part in walk(schema):
        for rule in part.get("x-kubernetes-validations", []):
            assert re.search(REMEDY, rule["message"]), (path, rule["message"])
            assert len(rule["message"]) <= 2048, path


COLUMNS = {
    "streamingmodels": ["Ready", "Workers", "Streams", "Queued", "Age"],
    "streaminggateways": ["Ready", "Gateways", "Models", "Address", "Age"],
}


@pytest.mark.parametrize("plural", COLUMNS)
def test_columns_scale_and_status(plural):
    definition = custom_resource_definitions()[f"{plural}.tailrace.dev.yaml"]
    (version,) = definition["spec"]["versions"]

    assert [column["name"] for column in version["additionalPrinterColumns"]] == COLUMNS[plural]
    assert version["subresources"]["scale"] == {
        "specReplicasPath": ".spec.replicas",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    }
    status = version["schema"]["openAPIV3Schema"]["properties"]["status"]
    assert status["properties"]["conditions"]["x-kubernetes-list-map-keys"] == ["type"]
    assert not [path for path, schema in walk(status) if "default" in schema]
    assert yaml.safe_load(text_of(definition)) == definition


def test_the_charts_copy_is_the_same_crd_behind_two_values():
    for definition in custom_resource_definitions().values():
        lines = chart_text_of(definition).splitlines()
        kept = [line for line in lines if not line.strip().startswith(("{{- if", "{{- end"))]
        copy = yaml.safe_load("\n".join(kept).replace('{{ "{{" }}', "{{"))

        assert lines[0] == "{{- if .Values.crds.enabled }}"
        assert copy["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
        assert copy == definition


def test_braces_in_a_description_are_no_template():
    text = chart_text_of({"metadata": {"name": "a"}, "description": "write {{ this }}"})

    assert 'write {{ "{{" }} this }}' in text


def test_the_reference_page_names_every_field_and_every_rule():
    page = reference_page()
    for kind in KINDS:
        for path, part in walk(structural_schema(kind)):
            name = path.rpartition(".")[2].removesuffix("[]")
            if path.startswith(("$.spec.", "$.status.")) and name != "name":
                assert f"| `{name}` |" in page, path
            for rule in part.get("x-kubernetes-validations", []):
                assert rule["message"].removeprefix("must lie ").replace("|", "\\|") in page, path


def test_what_stands_twice_is_documented_once():
    assert reference_page().count("| `credentialsSecret` |") == 1
    assert "### `spec.engine.vllm.speculative.draftModel`" in reference_page()


@pytest.mark.parametrize(
    "spec",
    [
        {"replicas": -1},
        {"replicas": "1"},
        {"chunking": {"tokens": 0}},
        {"chunking": {"maxDelay": "1d"}},
        {"replay": {"storage": "disk"}},
        {"replay": {"maxBytes": "1MB"}},
        {"limits": {"maxBodyBytes": 1.5}},
        {"resources": {"gpu": {}}},
        {"env": [{"name": "A"}]},
        {"engine": {"simulated": {"tokensPerSecond": 0}}},
        {"nodeSelector": {"a": 1}},
    ],
)
def test_the_schema_and_the_types_refuse_alike(make, spec):
    document = make.document(**spec)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, structural_schema(StreamingModel))
    with pytest.raises(ValueError):
        StreamingModel.parse(document)
