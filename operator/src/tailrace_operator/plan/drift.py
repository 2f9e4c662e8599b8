"""Where an observed object differs from the desired one, in the fields that the desired one sets.

Fields that others set are theirs: server-side apply leaves them alone, and so does this comparison. What the API server
fills in or spells differently (defaults, quantities, dropped empty values) is no difference, or every reconcile would
write.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from tailrace_operator.resources.quantity import Quantity

#: Lists that server-side apply merges, and what tells their items apart. It replaces any other list as a whole.
_KEYS = {
    "containers": ("name",),
    "initContainers": ("name",),
    "env": ("name",),
    "volumes": ("name",),
    "volumeMounts": ("mountPath",),
    "volumeDevices": ("devicePath",),
    "imagePullSecrets": ("name",),
    "hostAliases": ("ip",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "ownerReferences": ("uid",),
}
#: The ports of containers, and of Services; a NetworkPolicy's ports, below a list that is none, are no merged list.
_PORT_KEYS = (("containerPort", "protocol"), ("port", "protocol"))
_DEFAULTS = {"protocol": "TCP"}
#: Below these fields text is an amount: `1000m` and `1` are the same.
_AMOUNTS = ("requests", "limits", "sizeLimit", "storage")
#: Here nothing is something else than false or zero: the API server does not drop what was given.
_KEPT = (
    "allowPrivilegeEscalation",
    "automountServiceAccountToken",
    "emptyDir",
    "enableServiceLinks",
    "hostUsers",
    "replicas",
    "runAsGroup",
    "runAsUser",
)


_Path = tuple[str, ...]


def drift(desired: Mapping[str, Any], observed: Mapping[str, Any]) -> tuple[str, ...]:
    """The paths of all differences, each with what is there and what should be."""
    return tuple(_differences(desired, observed, ()))


def _differences(desired: Any, observed: Any, path: _Path) -> Iterator[str]:
    if isinstance(desired, Mapping) and isinstance(observed, Mapping):
        for key, value in desired.items():
            yield from _differences(value, observed.get(key), (*path, key))
    elif isinstance(desired, list) and isinstance(observed, list):
        yield from _between_lists(desired, observed, path)
    elif not _same(desired, observed, path):
        yield f"{_spelled(path)} is {_brief(observed)}, not {_brief(desired)}"


def _between_lists(desired: list[Any], observed: list[Any], path: _Path) -> Iterator[str]:
    keys = _keys_of(desired, path)
    if keys:
        present = {_identity(item, keys): item for item in observed if isinstance(item, Mapping)}
        for item in desired:
            named = _identity(item, keys)
            yield from _differences(item, present.get(named), (*path, f"[{named[0]}]"))
    elif len(desired) != len(observed):
        yield f"{_spelled(path)} has {len(observed)} items, not {len(desired)}"
    else:
        for index, (wanted, there) in enumerate(zip(desired, observed, strict=True)):
            yield from _differences(wanted, there, (*path, f"[{index}]"))


def _keys_of(items: list[Any], path: _Path) -> tuple[str, ...]:
    """The fields that tell the items apart; none where the list is replaced as a whole."""
    if not all(isinstance(item, Mapping) for item in items):
        return ()
    candidates = _PORT_KEYS if _are_ports(path) else (_KEYS.get(path[-1], ()),)
    return next((keys for keys in candidates if keys and _tell_apart(items, keys)), ())


def _are_ports(path: _Path) -> bool:
    return path[-1] == "ports" and not {"ingress", "egress"} & set(path)


def _tell_apart(items: list[Any], keys: tuple[str, ...]) -> bool:
    identities = [_identity(item, keys) for item in items]
    return len(set(identities)) == len(identities) and all(None not in identity for identity in identities)


def _identity(item: Mapping[str, Any], keys: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple(item.get(key, _DEFAULTS.get(key)) for key in keys)


def _same(desired: Any, observed: Any, path: _Path) -> bool:
    if desired == observed and isinstance(desired, bool) == isinstance(observed, bool):
        return True
    if observed is None:
        return _is_dropped(desired, path[-1])
    return any(amount in path for amount in _AMOUNTS) and _equal_amounts(desired, observed)


def _is_dropped(desired: Any, field: str) -> bool:
    """Whether the API server leaves out what is given: it does with what is empty, zero or false."""
    if isinstance(desired, Mapping) and desired:
        return all(_is_dropped(value, key) for key, value in desired.items())
    return not desired and field not in _KEPT


def _equal_amounts(desired: Any, observed: Any) -> bool:
    try:
        return Quantity(str(desired)).value == Quantity(str(observed)).value
    except ValueError:
        return False


def _spelled(path: _Path) -> str:
    return ".".join(path).replace(".[", "[")


def _brief(value: Any) -> str:
    text = "missing" if value is None else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
