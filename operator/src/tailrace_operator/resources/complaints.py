"""What is wrong with a resource, in sentences: the field's path, what it holds, and what to write instead."""

import difflib
from collections.abc import Iterable, Sequence
from typing import Any, get_args, get_origin

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from tailrace_operator.resources.block import Block
from tailrace_operator.resources.gateway import StreamingGateway
from tailrace_operator.resources.model import StreamingModel

Path = tuple[str | int, ...]


def complaints(error: ValidationError, *others: type[Block]) -> list[tuple[Path, str]]:
    """Each field that is wrong, with a sentence about it; `others` are what was read beside the resources."""
    kinds: tuple[type[Block], ...] = (StreamingModel, StreamingGateway, *others)
    kind = next((kind for kind in kinds if kind.__name__ == error.title), None)
    return [(_path(detail), _sentence(detail, kind)) for detail in error.errors(include_url=False)]


def spelled(path: Path) -> str:
    """A path as people write it: `spec.env[0].name`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def fields_at(path: Sequence[str | int], block: type[Block]) -> list[str]:
    """The names of the fields that the block at `path` below `block` has, as written in YAML."""
    for part in path:
        inner = _block_in(_annotation(block, part)) if isinstance(part, str) else None
        if inner is None and isinstance(part, str):
            return []
        block = inner or block
    return [field.alias or name for name, field in block.model_fields.items()]


def nearest(wrong: str, known: Iterable[str]) -> str | None:
    """The known name that `wrong` was probably meant to be."""
    by_lower = {name.lower(): name for name in known}
    plain = wrong.replace("_", "").replace("-", "").lower()
    close = difflib.get_close_matches(plain, by_lower, n=1, cutoff=0.6)
    return by_lower[close[0]] if close else None


def _path(detail: ErrorDetails) -> Path:
    field = detail.get("ctx", {}).get("field")
    return (*detail["loc"], *field.split(".")) if field else detail["loc"]


def _sentence(detail: ErrorDetails, kind: type[Block] | None) -> str:
    context, value = detail.get("ctx", {}), detail.get("input")
    match detail["type"]:
        case "extra_forbidden":
            return _unknown(detail["loc"], kind)
        case "missing":
            return "is required"
        case "literal_error":
            return f"{value!r} is not one of {context['expected'].replace(' or ', ', ')}"
        case "string_pattern_mismatch":
            return f"{value!r} does not match {context['pattern']}"
        case "model_type" | "model_attributes_type" | "dict_type":
            return f"must hold fields, not {value!r}"
        case "rule" | "bounds" | "duration" | "quantity" | "keyed" | "foreign":
            return detail["msg"]
        case _:
            return f"{value!r} is wrong: {detail['msg'].replace('Input should', 'it must')}"


def _unknown(path: Path, kind: type[Block] | None) -> str:
    known = fields_at(path[:-1], kind) if kind else []
    meant = nearest(str(path[-1]), known)
    hint = f"did you mean {meant}?" if meant else f"known here: {', '.join(known)}" if known else "leave it out"
    return f"is no known field; {hint}"


def _annotation(block: type[Block], name: str) -> Any:
    fields = {field.alias or own: field for own, field in block.model_fields.items()}
    return fields[name].annotation if name in fields else None


def _block_in(annotation: Any) -> type[Block] | None:
    if isinstance(annotation, type) and issubclass(annotation, Block):
        return annotation
    candidates = get_args(annotation) if get_origin(annotation) is not None else ()
    return next((found for part in candidates if (found := _block_in(part))), None)
