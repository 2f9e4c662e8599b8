"""Kubernetes quantities ('8Mi', '500m', '2'), kept as text and compared by value."""

import re
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

PATTERN = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$"
_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15}
_UNITS |= {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50}
#: Suffixes and their sizes, the largest first; of decimal ones in thousandths.
_BINARY = {"Pi": 2**50, "Ti": 2**40, "Gi": 2**30, "Mi": 2**20, "Ki": 2**10, "": 1}
_DECIMAL = {"P": 10**18, "T": 10**15, "G": 10**12, "M": 10**9, "k": 10**6, "": 10**3, "m": 1}
_MAX_LENGTH = 32


class Quantity(str):
    """An amount as text; `value` is its number (bytes, cores)."""

    __slots__ = ()

    def __new__(cls, text: str) -> "Quantity":
        """The quantity that `text` spells.

        Raises:
            ValueError: text that is no number with a Kubernetes suffix.
        """
        if len(text) > _MAX_LENGTH or not re.fullmatch(PATTERN, text):
            raise ValueError(
                f"{text!r} is not a quantity: write a number with a suffix, like '8Mi', '16Gi', '500m' or '2'"
            )
        return super().__new__(cls, text)

    @property
    def value(self) -> Decimal:
        """The amount in base units (bytes, cores)."""
        number = self.rstrip("mkKMGTPi")
        unit = self[len(number) :]
        return Decimal(number) / 1000 if unit == "m" else Decimal(number) * _UNITS[unit]

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(_parse)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {
            "x-kubernetes-int-or-string": True,
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "pattern": PATTERN,
            "maxLength": _MAX_LENGTH,
        }


def _parse(value: object) -> Quantity:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise PydanticCustomError(
            "quantity", "{value} is not a quantity: write it like '8Mi', '500m' or 2", {"value": repr(value)}
        )
    try:
        return Quantity(str(value))
    except ValueError as error:
        raise PydanticCustomError("quantity", "{reason}", {"reason": str(error)}) from None


@dataclass(frozen=True, slots=True)
class QuantityRange:
    """Bounds of a quantity field, both included: checked here and, as CEL, by the API server."""

    least: str
    most: str

    @property
    def message(self) -> str:
        """The rule, for a person."""
        return f"must lie between {self.least} and {self.most}"

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        amount = "quantity(string(self))"
        cel = f"{amount}.compareTo(quantity('{self.least}')) >= 0 && {amount}.compareTo(quantity('{self.most}')) <= 0"
        return {**handler(schema), "x-kubernetes-validations": [{"rule": cel, "message": self.message}]}

    def _check(self, value: Quantity) -> Quantity:
        if not Quantity(self.least).value <= value.value <= Quantity(self.most).value:
            raise PydanticCustomError("bounds", "{value} " + self.message, {"value": str(value)})
        return value


def canonical(quantity: Quantity) -> str:
    """The amount as the API server prints it, so that what is there compares equal to what is wanted.

    Kubernetes keeps the family of the suffix that was given (binary or decimal), and within it writes the largest one
    that needs no fraction: 1024Mi is 1Gi, 0.5 is 500m, 1000m is 1. It rounds up to whole bytes, and to thousandths.
    """
    value = quantity.value
    if quantity.endswith("i") and value >= _UNITS["Ki"]:
        return _shortest(int(value.to_integral_value(ROUND_CEILING)), _BINARY)
    thousandths = int((value * 1000).to_integral_value(ROUND_CEILING))
    return _shortest(thousandths, _DECIMAL) if thousandths else "0"


def in_bytes(amount: int) -> str:
    """Bytes in the largest binary unit that needs no fraction: 2**30 is 1Gi."""
    return _shortest(amount, _BINARY)


def _shortest(amount: int, units: dict[str, int]) -> str:
    unit, size = next((unit, size) for unit, size in units.items() if amount % size == 0)
    return f"{amount // size}{unit}"
