"""What counts as a difference between an object that is wanted and the one that is there."""

import copy
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tailrace_operator.plan import drift

from .samples import documents, server_defaulted

QUICK = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
MIB = 2**20


@pytest.mark.parametrize(
    ("desired", "observed"),
    [
        pytest.param({"a": 1}, {"a": 1, "b": 2}, id="a field that others set"),
        pytest.param({"a": {"b": 1}}, {"a": {"b": 1, "protocol": "TCP"}}, id="a default that the server filled in"),
        pytest.param({"a": {}, "b": [], "c": "", "d": False, "e": 0}, {}, id="empty values that the server drops"),
        pytest.param({"a": None}, {}, id="nothing"),
        pytest.param({"limits": {"cpu": "1000m"}}, {"limits": {"cpu": "1"}}, id="a quantity in another unit"),
        pytest.param({"requests": {"gpu": 2}}, {"requests": {"gpu": "2"}}, id="a quantity given as a number"),
        pytest.param({"sizeLimit": "1024Mi"}, {"sizeLimit": "1Gi"}, id="a size limit in another unit"),
        pytest.param({"seconds": 45.0}, {"seconds": 45}, id="a whole number with a point"),
        pytest.param(
            {"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]},
            {"env": [{"name": "B", "value": "2"}, {"name": "THEIRS"}, {"name": "A", "value": "1"}]},
            id="others' items in a merged list, in another order",
        ),
        pytest.param(
            {"volumeMounts": [{"name": "model", "mountPath": "/a"}]},
            {"volumeMounts": [{"name": "model", "mountPath": "/a"}, {"name": "model", "mountPath": "/b"}]},
            id="another's mount of the same volume",
        ),
        pytest.param(
            {"containers": [{"name": "w", "ports": [{"containerPort": 90}]}]},
            {"containers": [{"name": "w", "ports": [{"containerPort": 90, "protocol": "UDP"}, *(
                {"containerPort": 90, "protocol": "TCP"},
            )]}]},
            id="another's port of the same number and another protocol",
        ),
        pytest.param(
            {"ownerReferences": [{"uid": "1", "controller": True}]},
            {"ownerReferences": [{"uid": "2"}, {"uid": "1", "controller": True}]},
            id="a second owner",
        ),
    ],
)  # fmt: skip
def test_what_others_set_and_the_server_spells_is_no_difference(desired: Any, observed: Any) -> None:
    assert drift(desired, observed) == ()


@pytest.mark.parametrize(
    ("desired", "observed", "says"),
    [
        ({"spec": {"replicas": 1}}, {"spec": {"replicas": 7}}, "spec.replicas is 7, not 1"),
        ({"spec": {"replicas": 0}}, {"spec": {}}, "spec.replicas is missing, not 0"),
        ({"spec": {"a": "x"}}, {}, "spec is missing, not {'a': 'x'}"),
        ({"a": True}, {"a": 1}, "a is 1, not True"),
        ({"limits": {"cpu": "1"}}, {"limits": {"cpu": "2"}}, "limits.cpu is '2', not '1'"),
        ({"limits": {"cpu": "1"}}, {"limits": {"cpu": "much"}}, "limits.cpu is 'much', not '1'"),
        ({"data": {"size": "1000m"}}, {"data": {"size": "1"}}, "data.size is '1', not '1000m'"),
        ({"args": ["a", "b"]}, {"args": ["a", "c"]}, "args[1] is 'c', not 'b'"),
        ({"args": ["a"]}, {"args": ["a", "b"]}, "args has 2 items, not 1"),
        (
            {"env": [{"name": "A", "value": "1"}]},
            {"env": [{"name": "A", "value": "2"}]},
            "env[A].value is '2', not '1'",
        ),
        ({"env": [{"name": "A"}]}, {"env": []}, "env[A] is missing, not {'name': 'A'}"),
        (
            {"tolerations": [{"key": "gpu"}]},
            {"tolerations": [{"key": "gpu"}, {"operator": "Exists"}]},
            "tolerations has 2 items, not 1",
        ),
        (
            {"ingress": [{"ports": [{"port": "http"}]}]},
            {"ingress": [{"ports": [{"port": "http", "protocol": "TCP"}, {"port": 22}]}]},
            "ingress[0].ports has 2 items, not 1",
        ),
        ({"ingress": [{"ports": []}]}, {"ingress": [{"ports": []}, {}]}, "ingress has 2 items, not 1"),
        ({"allowPrivilegeEscalation": False}, {}, "allowPrivilegeEscalation is missing, not False"),
        (
            {"volumes": [{"name": "tmp", "emptyDir": {}}]},
            {"volumes": [{"name": "tmp", "hostPath": {"path": "/"}}]},
            "volumes[tmp].emptyDir is missing, not {}",
        ),
    ],
)
def test_each_difference_is_told_with_its_path(desired: Any, observed: Any, says: str) -> None:
    assert drift(desired, observed) == (says,)


def test_a_long_value_is_told_in_short() -> None:
    (told,) = drift({"data": "x" * 1000}, {"data": "y" * MIB})
    assert len(told) < 200


def test_a_field_that_is_no_longer_set_shows_through_the_digest() -> None:
    """The plan marks each manifest with a digest: see test_plan. Without it, a field more is no difference."""
    assert drift({"spec": {}}, {"spec": {"nodeSelector": {"pool": "a"}}}) == ()


@QUICK
@given(documents, st.data())
def test_what_a_server_gives_back_of_an_object_is_no_difference(desired: Any, data: st.DataObject) -> None:
    assert drift(desired, server_defaulted(desired, data.draw)) == ()


@QUICK
@given(documents, st.data())
def test_any_single_changed_leaf_is_found(desired: Any, data: st.DataObject) -> None:
    observed = server_defaulted(desired, data.draw)
    paths = list(leaf_paths(desired))
    if not paths:
        return
    changed = changed_at(data.draw(st.sampled_from(paths)), desired)
    assert len(drift(changed, observed)) == 1


def leaf_paths(value: Any, path: tuple[Any, ...] = ()) -> Any:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if inner is None:
        yield path
        return
    for key, part in inner:
        yield from leaf_paths(part, (*path, key))


def changed_at(path: tuple[Any, ...], document: Any) -> Any:
    """`document` wanting another value at `path`."""
    result = copy.deepcopy(document)
    inside = result
    for key in path[:-1]:
        inside = inside[key]
    inside[path[-1]] = "some-other-value"
    return result
