"""The generated CRD: current, structural, and of one mind with the types."""

from pathlib import Path

import jsonschema
import pytest
import yaml
from tailrace_operator.crds import custom_resource_definitions, main, structural_schema, text_of
from tailrace_operator.resources import StreamingModel

CRDS = Path(__file__).parents[3] / "crds"


def walk(schema, path="$"):
    yield path, schema
    for name, inner in schema.get("properties", {}).items():
        yield from walk(inner, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield from walk(schema[key], f"{path}[]")


def test_the_files_are_current():
    assert main([str(CRDS), "--check"]) == 0


def test_a_stale_file_is_told_apart(tmp_path, capsys):
    assert main([str(tmp_path), "--check"]) == 1
    assert "run `make crds`" in capsys.readouterr().err
    assert main([str(tmp_path)]) == 0
    assert main([str(tmp_path), "--check"]) == 0


def test_the_schema_is_structural():
    allowed_unions = 0
    for path, schema in walk(structural_schema()):
        if schema.get("x-kubernetes-int-or-string"):
            assert schema["anyOf"] == [{"type": "integer"}, {"type": "string"}], path
            allowed_unions += 1
            continue
        assert "type" in schema, path
        forbidden = {"$ref", "anyOf", "oneOf", "allOf", "const", "title", "$defs", "exclusiveMinimum"}
        assert not schema.keys() & forbidden, path
        assert schema.get("additionalProperties") is not False, path
        assert schema["type"] != "integer" or schema["format"] == "int64", path
    assert allowed_unions == 4


def test_every_field_is_described():
    undescribed = [path for path, schema in walk(structural_schema()) if "description" not in schema]

    assert [path for path in undescribed if not path.endswith("[]")] == ["$.metadata"]


def test_strings_and_lists_are_bounded_where_rules_read_them():
    spec = structural_schema()["properties"]["spec"]
    for path, schema in walk(spec, "spec"):
        if schema.get("type") == "string":
            assert schema.keys() & {"maxLength", "enum"}, path
        if schema.get("type") == "array":
            assert "maxItems" in schema, path


def test_blocks_default_to_empty_so_that_their_fields_default():
    spec = structural_schema()["properties"]["spec"]["properties"]

    assert all(spec[name]["default"] == {} for name in ("replay", "chunking", "drain", "resources"))
    inner = {name: field["default"] for name, field in spec["timeouts"]["properties"].items()}
    assert spec["timeouts"]["default"] == inner == {**inner, "total": "1h"}


def test_rules_are_in_the_schema():
    rules = [rule for _, schema in walk(structural_schema()) for rule in schema.get("x-kubernetes-validations", [])]
    texts = [rule["rule"] for rule in rules]

    assert "self == oldSelf" in texts
    assert "has(self.vllm) != has(self.simulated)" in texts
    assert "duration(self) >= duration('200ms') && duration(self) <= duration('1m')" in texts
    assert any("self.metadata.name.size() <= 40" in text for text in texts)
    assert len(texts) >= 20


def test_columns_scale_and_status():
    (definition,) = custom_resource_definitions().values()
    (version,) = definition["spec"]["versions"]

    assert [column["name"] for column in version["additionalPrinterColumns"]] == [
        "Ready",
        "Workers",
        "Streams",
        "Queued",
        "Age",
    ]
    assert version["subresources"]["scale"] == {
        "specReplicasPath": ".spec.replicas",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    }
    conditions = version["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]["conditions"]
    assert conditions["x-kubernetes-list-map-keys"] == ["type"]
    assert yaml.safe_load(text_of(definition)) == definition


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
        jsonschema.validate(document, structural_schema())
    with pytest.raises(ValueError):
        StreamingModel.parse(document)
