"""What kopf tells is taken in, and wakes whom it concerns; nothing else is asked of kopf."""

from types import MappingProxyType
from typing import Any

import kopf
import pytest
from tailrace_operator.apply.kinds import CHILDREN, GATEWAY, MODEL, POD
from tailrace_operator.controller.handlers import kopf_settings, register
from tailrace_operator.controller.settings import OperatorSettings
from tailrace_operator.controller.world import Key, World

from .objects import child, resource

ECHO, OTHER = Key("StreamingModel", "default", "echo"), Key("StreamingModel", "default", "other")


class Told:
    """The handlers as kopf has them."""

    def __init__(self) -> None:
        self.world = World()
        self.woken: list[Key] = []
        registry = kopf.OperatorRegistry()
        register(registry, self.world, self.woken.append)
        handlers = registry._watching.get_all_handlers()
        self.handlers: dict[str, Any] = {str(handler.id): handler.fn for handler in handlers}

    async def event(self, plural: str, kind: str | None, body: dict[str, Any]) -> list[Key]:
        """Whom an event wakes; kopf gives a body without its kind for some events, and lets nobody change it."""
        self.woken.clear()
        bare = {name: part for name, part in body.items() if name not in ("apiVersion", "kind")}
        await self.handlers[plural](type=kind, body=MappingProxyType(bare), logger=None, memo=None)
        return sorted(self.woken)


@pytest.fixture
def told() -> Told:
    return Told()


def test_every_kind_that_we_read_is_watched_once(told: Told) -> None:
    assert sorted(told.handlers) == sorted(kind.plural for kind in (MODEL, GATEWAY, *CHILDREN, POD))


@pytest.mark.parametrize("kind", [None, "ADDED", "MODIFIED"])
async def test_what_is_there_is_known_and_wakes_whom_it_concerns(told: Told, kind: str | None) -> None:
    assert await told.event("streamingmodels", kind, resource()) == [ECHO]
    assert await told.event("deployments", kind, child()) == [ECHO]
    assert told.world.resource(ECHO) == resource()
    assert told.world.children(ECHO) == [child()]


async def test_what_is_gone_is_forgotten_and_wakes_whom_it_concerned(told: Told) -> None:
    await told.event("deployments", "ADDED", child())
    assert await told.event("deployments", "DELETED", child()) == [ECHO]
    assert told.world.children(ECHO) == []
    assert await told.event("deployments", "DELETED", child()) == []


async def test_a_label_that_moved_wakes_both_owners(told: Told) -> None:
    await told.event("deployments", "ADDED", child(version=1))
    assert await told.event("deployments", "MODIFIED", child(version=2, of="model=other")) == [ECHO, OTHER]


async def test_what_is_nobodys_wakes_nobody(told: Told) -> None:
    assert await told.event("configmaps", "ADDED", child(kind="ConfigMap", of=None)) == []


def test_kopf_writes_nothing_and_asks_for_our_objects_alone() -> None:
    settings = kopf_settings(OperatorSettings(), lambda: None)
    assert not settings.posting.enabled
    assert settings.scanning.disabled
    assert settings.peering.standalone
    selectors = settings.watching.label_selectors
    assert {selectors.get(kind.plural) for kind in (*CHILDREN, POD)} == {"app.kubernetes.io/managed-by=tailrace"}
    assert not {MODEL.plural, GATEWAY.plural} & set(selectors), "a person's resource bears no label of ours"


def test_each_try_after_a_failed_one_is_told_and_there_is_always_another() -> None:
    told: list[None] = []
    pauses = iter(kopf_settings(OperatorSettings(), lambda: told.append(None)).networking.error_backoffs)
    counts = [(next(pauses) <= 5, len(told)) for _ in range(2000)]
    assert counts == [(True, tries) for tries in range(2000)]
