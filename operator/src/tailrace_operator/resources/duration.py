"""Durations as people write them in Kubernetes: '500ms', '2s', '10m', '1h30m'.

They stay text, so that a resource reads back as it was written; `seconds` is what code computes with. The pattern is
the part of Go's notation that CEL's `duration()` reads too, so the API server can compare them.
"""

import re
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

PATTERN = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_MAX_LENGTH = 32


class Duration(str):
    """A length of time as text; `seconds` is its value."""

    __slots__ = ()

    def __new__(cls, text: str) -> "Duration":
        """The duration that `text` spells.

        Raises:
            ValueError: text that is not numbers with units.
        """
        if len(text) > _MAX_LENGTH or not re.fullmatch(PATTERN, text):
            raise ValueError(
                f"{text!r} is not a duration: write a number and a unit, like '500ms', '2s', '10m' or '1h'"
            )
        return super().__new__(cls, text)

    @property
    def seconds(self) -> float:
        """The value in seconds."""
        return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(self))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(_parse)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "pattern": PATTERN, "maxLength": _MAX_LENGTH}


def _parse(value: object) -> Duration:
    if not isinstance(value, str):
        raise PydanticCustomError(
            "duration",
            "{value} is not a duration: write text with a unit, like '500ms' or '2s'",
            {"value": repr(value)},
        )
    try:
        return Duration(value)
    except ValueError as error:
        raise PydanticCustomError("duration", "{reason}", {"reason": str(error)}) from None


@dataclass(frozen=True, slots=True)
class DurationRange:
    """Bounds of a duration field, both included: checked here and, as CEL, by the API server."""

    least: str
    most: str

    @property
    def message(self) -> str:
        """The rule, for a person."""
        return f"must lie between {self.least} and {self.most}"

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        cel = f"duration(self) >= duration('{self.least}') && duration(self) <= duration('{self.most}')"
        return {**handler(schema), "x-kubernetes-validations": [{"rule": cel, "message": self.message}]}

    def _check(self, value: Duration) -> Duration:
        if not Duration(self.least).seconds <= value.seconds <= Duration(self.most).seconds:
            raise PydanticCustomError("bounds", "{value} " + self.message, {"value": str(value)})
        return value
