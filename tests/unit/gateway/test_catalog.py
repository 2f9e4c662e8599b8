"""Which models a gateway serves: its namespace's, those that name it, for as long as they exist."""

import asyncio
from types import SimpleNamespace

import pytest
from tailrace_gateway.catalog import Catalog
from tailrace_protocol.errors import ErrorCode, TailraceError
from tailrace_protocol.settings import ModelSettings
from tailrace_protocol.wire import encode


@pytest.fixture
def removed():
    return []


@pytest.fixture
def catalog(removed):
    return Catalog("prod", "default", lambda model: removed.append(model.name))


def put(catalog, name, namespace="prod", **settings):
    catalog.put(f"{namespace}.{name}", encode(ModelSettings(namespace, name, **settings)))


def names(catalog):
    return [model.name for model in catalog.all()]


def test_it_serves_the_models_of_its_namespace_that_name_it(catalog):
    put(catalog, "a")
    put(catalog, "b", gateway="default")
    put(catalog, "c", gateway="public")
    put(catalog, "d", namespace="test")
    assert names(catalog) == ["a", "b"]


def test_another_gateway_of_the_namespace_serves_the_others():
    public = Catalog("prod", "public", lambda model: None)
    put(public, "a")
    put(public, "c", gateway="public")
    assert names(public) == ["c"]


def test_a_model_that_is_deleted_is_told_once_and_unknown_from_then_on(catalog, removed):
    put(catalog, "a")
    for _ in range(2):
        catalog.put("prod.a", None)
    assert removed == ["a"]
    with pytest.raises(TailraceError) as refused:
        catalog.get("a")
    assert refused.value.code is ErrorCode.MODEL_NOT_FOUND


def test_a_model_that_was_made_anew_while_nobody_looked_is_told_as_deleted(catalog, removed):
    put(catalog, "a", created=1)
    put(catalog, "a", created=1, queue_timeout_s=5)
    assert removed == []
    put(catalog, "a", created=2)
    assert removed == ["a"]
    assert names(catalog) == ["a"]


def test_a_model_that_moves_to_another_gateway_is_not_told_as_deleted(catalog, removed):
    put(catalog, "a")
    put(catalog, "a", gateway="public")
    assert (names(catalog), removed) == ([], [])


def test_a_model_of_another_namespace_or_gateway_is_nobodys_loss_here(catalog, removed):
    put(catalog, "a")
    put(catalog, "c", gateway="public")
    catalog.put("prod.c", None)
    catalog.put("test.a", None)
    assert (names(catalog), removed) == (["a"], [])


def test_an_entry_that_cannot_be_read_changes_nothing(catalog, removed):
    put(catalog, "a")
    catalog.put("prod.a", b"{}")
    assert (names(catalog), removed) == (["a"], [])


def test_an_adapter_is_reached_through_its_model(catalog):
    put(catalog, "a", adapters=["sql", "b"])
    put(catalog, "b")
    assert catalog.get("sql").name == "a"
    assert catalog.get("b").name == "b", "a model's own name comes first"
    with pytest.raises(TailraceError, match="served: a, b, sql"):
        catalog.get("legal")


class Broker:
    """A bucket whose watch tells what it is given; `values`: how much the bucket holds."""

    def __init__(self, values, told):
        self._values, self._told = values, iter(told)

    async def key_value(self, name):
        return self

    async def status(self):
        return SimpleNamespace(values=self._values)

    async def watchall(self):
        return self

    async def updates(self, timeout):
        for told in self._told:
            return told
        raise EndError


class EndError(Exception):
    pass


def entry(name, to_come):
    value = encode(ModelSettings("prod", name))
    return SimpleNamespace(key=f"prod.{name}", value=value, operation=None, delta=to_come)


@pytest.mark.parametrize(
    ("values", "told", "synced"),
    [
        (0, [], False),
        (0, [None], True),
        (2, [None], False),
        (2, [None, entry("a", 1)], False),
        (2, [None, entry("a", 1), entry("b", 0)], True),
        (2, [entry("a", 1), entry("b", 0), None], True),
    ],
)
async def test_it_knows_all_when_nothing_is_on_its_way_whatever_the_client_says(catalog, values, told, synced):
    with pytest.raises(EndError):
        await asyncio.wait_for(catalog.watch(Broker(values, told)), 5)
    assert catalog.synced is synced
