"""Lists whose items are told apart by one field: server-side apply merges them by it, and no two may share it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.alias_generators import to_snake
from pydantic_core import CoreSchema, PydanticCustomError, core_schema


@dataclass(frozen=True, slots=True)
class KeyedBy:
    """Marks a list; `key` is the field's name as written in YAML."""

    key: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [self.key]}

    def _check(self, items: list[Any]) -> list[Any]:
        keys = [self._key_of(item) for item in items]
        twice = _first_repeated(keys)
        if twice is not None:
            raise PydanticCustomError(
                "keyed", "{reason}", {"reason": f"{self.key} {twice!r} is there twice: rename one"}
            )
        return items

    def _key_of(self, item: Any) -> str:
        return str(item[self.key] if isinstance(item, dict) else getattr(item, to_snake(self.key)))


def _first_repeated(keys: Sequence[str]) -> str | None:
    seen: set[str] = set()
    for key in keys:
        if key in seen:
            return key
        seen.add(key)
    return None
