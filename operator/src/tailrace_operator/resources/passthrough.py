"""Parts whose schema is Kubernetes' own: taken as they are, and checked by the API server where they are used."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

_NAME = {"type": "string", "minLength": 1, "maxLength": 63, "description": "Its name."}


@dataclass(frozen=True, slots=True)
class Foreign:
    """Marks an object of Kubernetes' own; a `named` one is told apart from its neighbours by its name."""

    named: bool = False

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._check)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        free: dict[str, Any] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        return {**free, "required": ["name"], "properties": {"name": dict(_NAME)}} if self.named else free

    def _check(self, value: object) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise PydanticCustomError("dict_type", "must be an object", {})
        name = value.get("name")
        if self.named and not (isinstance(name, str) and 0 < len(name) <= _NAME["maxLength"]):  # type: ignore[operator]
            raise PydanticCustomError("foreign", "name is required, of at most 63 characters", {"field": "name"})
        return dict(value)


#: Any object.
ForeignObject = Annotated[dict[str, Any], Foreign()]
#: An object with a name (a container, a volume).
NamedObject = Annotated[dict[str, Any], Foreign(named=True)]
