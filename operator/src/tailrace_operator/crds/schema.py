"""From pydantic's JSON Schema to the structural schema that the API server asks for.

No references, no unions (but int-or-string), no `additionalProperties: false` (unknown fields are pruned, or refused by
strict validation). Blocks default to `{}` so that the defaults inside them apply; a block with rules defaults to all
its values, since the API server checks a default against the rules before it fills it. The status has no defaults: what
the operator has not said is not known.
"""

from typing import Any

from tailrace_operator.resources.block import Block

Schema = dict[str, Any]

_DROPPED = ("title", "$defs", "const")
_FORMATS = {"integer": "int64", "number": "double"}


def structural_schema(resource: type[Block]) -> Schema:
    """The schema of one kind of resource, as the API server takes it."""
    generated = resource.model_json_schema(by_alias=True)
    schema = _structural(generated, generated["$defs"])
    properties = schema["properties"]
    for field in ("apiVersion", "kind"):
        properties[field] = {"type": "string", "description": properties[field]["description"]}
    properties["metadata"] = {"type": "object"}
    properties["status"] = _without_defaults(properties["status"])
    if "default" not in properties["spec"]:
        schema["required"] = ["spec"]
    else:
        schema.pop("required", None)
    return schema


def _structural(schema: Schema, definitions: Schema) -> Schema:
    schema = _without_null(_resolved(schema, definitions), definitions)
    if "const" in schema:
        schema["enum"] = [schema["const"]]
    result = {key: value for key, value in schema.items() if key not in _DROPPED}
    if "properties" in result:
        result["properties"] = {name: _structural(inner, definitions) for name, inner in result["properties"].items()}
        result.pop("additionalProperties", None)
    for inner in ("additionalProperties", "items"):
        if isinstance(result.get(inner), dict):
            result[inner] = _structural(result[inner], definitions)
    if isinstance(result.get("default"), dict):
        # An optional field that is left out has no default: null is of no type.
        given = {name: value for name, value in result["default"].items() if value is not None}
        result["default"] = given if "x-kubernetes-validations" in result else {}
    if result.get("type") in _FORMATS:
        result["format"] = _FORMATS[result["type"]]
    return result


def _resolved(schema: Schema, definitions: Schema) -> Schema:
    """The schema with its reference, if it has one, replaced by what it refers to; its own words win."""
    reference = schema.get("$ref")
    if reference is None:
        return dict(schema)
    own = {key: value for key, value in schema.items() if key != "$ref"}
    return dict(definitions[reference.removeprefix("#/$defs/")]) | own


def _without_null(schema: Schema, definitions: Schema) -> Schema:
    """An optional field is one that may be left out, not one that may be null."""
    options = schema.get("anyOf", [])
    given = [option for option in options if option != {"type": "null"}]
    if len(given) == len(options):
        return schema
    own = {key: value for key, value in schema.items() if key not in ("anyOf", "default")}
    return _resolved(given[0], definitions) | own


def _without_defaults(schema: Schema) -> Schema:
    result = {key: value for key, value in schema.items() if key != "default"}
    if "properties" in result:
        result["properties"] = {name: _without_defaults(inner) for name, inner in result["properties"].items()}
    if "items" in result:
        result["items"] = _without_defaults(result["items"])
    return result
