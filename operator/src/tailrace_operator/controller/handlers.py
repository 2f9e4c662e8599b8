"""kopf's part: it watches, and every event wakes one look. No handler decides or writes anything.

Only raw events are handled, so kopf adds no annotations and no finalizers of its own to anybody's objects.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

import kopf

from tailrace_operator.apply.kinds import CHILDREN, GATEWAY, MODEL, POD, Kind
from tailrace_operator.controller.settings import OperatorSettings
from tailrace_operator.controller.world import CHILD_SELECTOR, Key, World
from tailrace_operator.plan import Ref


def register(registry: kopf.OperatorRegistry, world: World, wake: Callable[[Key], None]) -> None:
    """Handlers of every kind that we read."""
    kopf.on.login(registry=registry)(_login)
    for kind in (MODEL, GATEWAY, *CHILDREN, POD):
        kopf.on.event(*_resource(kind), registry=registry, id=kind.plural)(_handler(kind, world, wake))


def kopf_settings(settings: OperatorSettings, interrupted: Callable[[], None]) -> kopf.OperatorSettings:
    """kopf's settings: no events of its own, no scanning, and only our objects from the server.

    `interrupted` is called before each try after a failed one.
    """
    result = kopf.OperatorSettings()
    result.posting.enabled = False
    result.scanning.disabled = True
    result.peering.standalone = True
    result.watching.server_timeout = 270
    result.watching.reconnect_backoff = 0.5
    result.networking.request_timeout = 60
    result.networking.connect_timeout = 10
    result.networking.error_backoffs = _Pauses(interrupted)
    result.process.ultimate_exiting_timeout = 10
    result.persistence.diffbase_storage = _NoMemory()
    for kind in (*CHILDREN, POD):
        result.watching.label_selectors[kind.plural] = CHILD_SELECTOR
    return result


class _Pauses:
    """The pauses between the tries of a request, in seconds, without end: a watch is never given up.

    One that could not be resumed may begin anew, with a listing, and tells nothing then of what was deleted before.
    """

    def __init__(self, interrupted: Callable[[], None]) -> None:
        self._interrupted = interrupted

    def __iter__(self) -> Iterator[float]:
        """kopf takes a pause before each try, for the case that it fails."""
        yield 0.5
        for pause in itertools.chain((1, 1, 2, 2), itertools.repeat(5)):
            self._interrupted()
            yield pause


class _NoMemory(kopf.DiffBaseStorage):
    """kopf compares every object with what it was, for handlers of changes, of which we have none: it copies a lot."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        """Nothing."""
        return cast("kopf.BodyEssence", {})

    def fetch(self, **_: Any) -> None:
        """Nothing."""

    def store(self, **_: Any) -> None:
        """Nowhere."""


def _login(**kwargs: Any) -> kopf.ConnectionInfo | None:
    return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)


def _resource(kind: Kind) -> tuple[str, ...]:
    group, _, version = kind.api_version.rpartition("/")
    return (group, version, kind.plural)


def _handler(kind: Kind, world: World, wake: Callable[[Key], None]) -> Callable[..., Any]:
    async def on_event(type: str | None, body: Mapping[str, Any], **_: Any) -> None:  # noqa: A002 - kopf's name
        observed = {**body, "apiVersion": kind.api_version, "kind": kind.kind}
        for key in world.drop(Ref.of(observed)) if type == "DELETED" else world.put(observed):
            wake(key)

    return on_event
