"""Hypothesis strategies for every message of the package, made from its types: a new field is covered at once."""

import os
import types
import typing

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st


def examples(count: int) -> settings:
    """The same examples in every run and no deadline: a red test is red again, on any machine.

    `TAILRACE_EXAMPLES=20` tries twenty times as many, other ones in every run.
    """
    more = int(os.environ.get("TAILRACE_EXAMPLES", "1"))
    quiet = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    return settings(
        max_examples=count * more,
        deadline=None,
        derandomize=more == 1,
        database=None,
        suppress_health_check=quiet,
    )


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)

_PLAIN = {
    int: st.integers(-(2**63), 2**64 - 1),
    str: st.text(max_size=40),
    float: st.floats(allow_nan=False, allow_infinity=False),
    bool: st.booleans(),
    type(None): st.none(),
    msgspec.Raw: json_values.map(msgspec.json.encode).map(msgspec.Raw),
}


def any_of(hint):
    """A strategy for values of the type `hint`."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return st.sampled_from(inner)
    if origin in (typing.Union, types.UnionType):
        return st.one_of([any_of(member) for member in inner])
    if origin is list:
        return st.lists(any_of(inner[0]), max_size=3)
    if origin is dict:
        return st.dictionaries(any_of(inner[0]), any_of(inner[1]), max_size=3)
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return any_message(hint)
    return _PLAIN[hint]


def any_message(struct):
    """A strategy for messages of one kind; fields with a default may be left out."""
    hints = typing.get_type_hints(struct)
    needed = {f.encode_name for f in msgspec.structs.fields(struct) if f.required}
    return st.fixed_dictionaries(
        {name: any_of(hint) for name, hint in hints.items() if name in needed},
        optional={name: any_of(hint) for name, hint in hints.items() if name not in needed},
    ).map(lambda values: struct(**values))
