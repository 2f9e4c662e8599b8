"""Strategic merge, by table and by property; `tests/cluster` compares it with the API server's own."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tailrace_operator.render.strategic import strategic_merge


@pytest.mark.parametrize(
    ("base", "patch", "result"),
    [
        ({"a": 1, "b": 2}, {"b": 3}, {"a": 1, "b": 3}),
        ({"a": {"x": 1, "y": 2}}, {"a": {"y": 3}}, {"a": {"x": 1, "y": 3}}),
        ({"a": 1}, {"a": None}, {}),
        ({}, {"a": None}, {}),
        ({"a": "text"}, {"a": {"x": 1}}, {"a": {"x": 1}}),
        (
            {"containers": [{"name": "a", "image": "1", "env": [{"name": "X", "value": "1"}]}, {"name": "b"}]},
            {"containers": [{"name": "a", "env": [{"name": "Y", "value": "2"}]}, {"name": "c"}]},
            {
                "containers": [
                    {
                        "name": "a",
                        "image": "1",
                        "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}],
                    },
                    {"name": "b"},
                    {"name": "c"},
                ]
            },
        ),
        (
            {"volumeMounts": [{"name": "v", "mountPath": "/a"}]},
            {"volumeMounts": [{"name": "v", "mountPath": "/b"}]},
            {"volumeMounts": [{"name": "v", "mountPath": "/a"}, {"name": "v", "mountPath": "/b"}]},
        ),
        (
            {"ports": [{"containerPort": 80, "name": "a"}]},
            {"ports": [{"containerPort": 80, "name": "b"}, {"containerPort": 81}]},
            {"ports": [{"containerPort": 80, "name": "b"}, {"containerPort": 81}]},
        ),
        (
            {"topologySpreadConstraints": [{"topologyKey": "host", "maxSkew": 1}]},
            {"topologySpreadConstraints": [{"topologyKey": "zone", "maxSkew": 1}]},
            {
                "topologySpreadConstraints": [
                    {"topologyKey": "host", "maxSkew": 1},
                    {"topologyKey": "zone", "maxSkew": 1},
                ]
            },
        ),
        ({"tolerations": [{"key": "a"}]}, {"tolerations": [{"key": "b"}]}, {"tolerations": [{"key": "b"}]}),
        ({"command": ["a", "b"]}, {"command": ["c"]}, {"command": ["c"]}),
        ({"a": {"x": 1}}, {"a": {"$patch": "replace", "y": 2}}, {"a": {"y": 2}}),
        (
            {"volumes": [{"name": "a"}, {"name": "b"}]},
            {"volumes": [{"name": "a", "$patch": "delete"}]},
            {"volumes": [{"name": "b"}]},
        ),
        (
            {"volumes": [{"name": "a"}, {"name": "b"}]},
            {"volumes": [{"$patch": "replace"}, {"name": "c"}]},
            {"volumes": [{"name": "c"}]},
        ),
    ],
)
def test_what_is_merged_and_what_is_replaced(base, patch, result):
    assert strategic_merge(base, patch) == result


NAMES = st.sampled_from(["a", "b", "c", "worker"])
SCALARS = st.one_of(st.integers(0, 9), st.text("xyz", max_size=2), st.booleans())
ENV = st.lists(
    st.fixed_dictionaries({"name": NAMES, "value": st.text("xyz", max_size=2)}), unique_by=lambda e: e["name"]
)
CONTAINERS = st.lists(
    st.fixed_dictionaries({"name": NAMES}, optional={"image": st.text("xyz", max_size=2), "env": ENV}),
    unique_by=lambda container: container["name"],
)
PODS = st.fixed_dictionaries(
    {},
    optional={
        "containers": CONTAINERS,
        "tolerations": st.lists(st.fixed_dictionaries({"key": NAMES}), min_size=1),
        "affinity": st.dictionaries(NAMES, st.dictionaries(NAMES, SCALARS)),
        "priorityClassName": NAMES,
    },
)


@given(PODS)
def test_nothing_is_changed_by_nothing(pod):
    assert strategic_merge(pod, {}) == pod
    assert strategic_merge({}, pod) == pod


@given(PODS, PODS)
def test_the_same_change_twice_is_one_change_and_leaves_its_inputs_alone(base, patch):
    before = copy.deepcopy((base, patch))
    once = strategic_merge(base, patch)

    assert strategic_merge(once, patch) == once
    assert (base, patch) == before


@given(PODS, PODS)
def test_nothing_of_either_is_lost(base, patch):
    merged = strategic_merge(base, patch)
    names = [container["name"] for container in merged.get("containers", [])]

    assert len(names) == len(set(names))
    assert set(names) == {c["name"] for pod in (base, patch) for c in pod.get("containers", [])}
    assert merged.get("tolerations") == patch.get("tolerations", base.get("tolerations"))
    for wanted in patch.get("containers", []):
        got = next(container for container in merged["containers"] if container["name"] == wanted["name"])
        assert got.get("image") == wanted.get("image", got.get("image"))
        assert all(variable in got["env"] for variable in wanted.get("env", []))


@given(PODS, PODS)
def test_the_result_shares_nothing_with_its_inputs(base, patch):
    merged = strategic_merge(base, patch)
    for container in merged.get("containers", []):
        container["image"] = "changed"
        container.setdefault("env", []).append({"name": "new"})

    assert all(c.get("image") != "changed" for pod in (base, patch) for c in pod.get("containers", []))
