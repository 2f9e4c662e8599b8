"""What all parts of a resource share: names in camelCase, no unknown fields, and rules written once.

A `Rule` holds the same decision twice, as CEL for the API server and as Python for local mode; a test gives both the
same objects. Rules about one field alone are bounds of that field, not rules.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, PydanticCustomError


@dataclass(frozen=True, slots=True)
class Rule:
    """One condition on a block. `field` is the part that the error points at; `explain` may say more than `message`.

    The API server lets a rule point only at what the schema describes; `place` is where local errors point instead.
    """

    cel: str
    message: str
    holds: Callable[[Any], bool]
    field: str = ""
    place: str = ""
    explain: Callable[[Any], str] | None = None

    def as_schema(self) -> dict[str, str]:
        """The rule as an entry of `x-kubernetes-validations`."""
        entry = {"rule": self.cel, "message": self.message}
        return entry | {"fieldPath": f".{self.field}"} if self.field else entry


@dataclass(frozen=True, slots=True)
class Transition:
    """One condition on how a block may change, as CEL over `self` and `oldSelf`; only an API server can see that."""

    cel: str
    message: str
    field: str

    def as_schema(self) -> dict[str, str]:
        """The condition as an entry of `x-kubernetes-validations`."""
        return {"rule": self.cel, "message": self.message, "fieldPath": f".{self.field}"}


@dataclass(frozen=True, slots=True)
class Immutable:
    """Marks a field that may not change once the resource exists; only an API server can see that."""

    message: str

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        generated = handler(schema)
        rule = {"rule": "self == oldSelf", "message": self.message}
        return {**generated, "x-kubernetes-validations": [*generated.get("x-kubernetes-validations", []), rule]}


class Block(BaseModel):
    """A part of a resource."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, extra="forbid", frozen=True, strict=True)
    rules: ClassVar[tuple[Rule, ...]] = ()
    transitions: ClassVar[tuple[Transition, ...]] = ()

    @model_validator(mode="after")
    def _obey_rules(self) -> Self:
        for rule in self.rules:
            if not rule.holds(self):
                reason = rule.explain(self) if rule.explain else rule.message
                raise PydanticCustomError("rule", "{reason}", {"reason": reason, "field": rule.place or rule.field})
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        generated = handler.resolve_ref_schema(handler(schema))
        if cls.rules or cls.transitions:
            entries = [rule.as_schema() for rule in cls.rules]
            generated["x-kubernetes-validations"] = entries + [change.as_schema() for change in cls.transitions]
        return generated
