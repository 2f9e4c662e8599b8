"""Where an observed object differs from the desired one, in the fields that the desired one sets.

Fields that others set are theirs: server-side apply leaves them alone, and so does this comparison. What the API server
fills in or spells differently (defaults, quantities, dropped empty values) is no difference, or every reconcile would
write.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tailrace_operator.resources.quantity import Quantity

#: By which field the items of a list are told apart, in the order of trying: the merge keys of Kubernetes' own lists.
_KEYS = ("name", "mountPath", "uid", "key", "containerPort", "port", "topologyKey")
#: Below these fields text is an amount: `1000m` and `1` are the same.
_AMOUNTS = ("requests", "limits", "sizeLimit", "storage")


def drift(desired: Mapping[str, Any], observed: Mapping[str, Any]) -> tuple[str, ...]:
    """The paths of all differences, each with what is there and what should be."""
    return tuple(_differences(desired, observed, ""))


def _differences(desired: Any, observed: Any, path: str) -> Iterator[str]:
    if isinstance(desired, Mapping) and isinstance(observed, Mapping):
        for key, value in desired.items():
            yield from _differences(value, observed.get(key), f"{path}.{key}" if path else key)
    elif isinstance(desired, list) and isinstance(observed, list):
        yield from _between_lists(desired, observed, path)
    elif not _same(desired, observed, path):
        yield f"{path} is {_brief(observed)}, not {_brief(desired)}"


def _between_lists(desired: list[Any], observed: list[Any], path: str) -> Iterator[str]:
    key = _key_of(desired)
    if key is None:
        if len(desired) != len(observed):
            yield f"{path} has {len(observed)} items, not {len(desired)}"
            return
        for index, (wanted, present) in enumerate(zip(desired, observed, strict=True)):
            yield from _differences(wanted, present, f"{path}[{index}]")
        return
    present_by_key = {item.get(key): item for item in observed if isinstance(item, Mapping)}
    for item in desired:
        yield from _differences(item, present_by_key.get(item[key]), f"{path}[{item[key]}]")


def _key_of(items: Sequence[Any]) -> str | None:
    """The field that names each item, if all have one and no two share it."""
    if not items or not all(isinstance(item, Mapping) for item in items):
        return None
    for key in _KEYS:
        values = [item.get(key) for item in items]
        if None not in values and len(set(values)) == len(values):
            return key
    return None


def _same(desired: Any, observed: Any, path: str) -> bool:
    if desired == observed:
        return True
    if observed is None:
        return not desired  # The API server drops what is empty, zero or false.
    return any(f".{amount}" in path for amount in _AMOUNTS) and _equal_amounts(desired, observed)


def _equal_amounts(desired: Any, observed: Any) -> bool:
    try:
        return Quantity(str(desired)).value == Quantity(str(observed)).value
    except ValueError:
        return False


def _brief(value: Any) -> str:
    text = "missing" if value is None else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
