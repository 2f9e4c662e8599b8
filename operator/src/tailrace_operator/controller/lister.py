"""A full listing now and then: finds what no event told of, above all deletions while a watch was interrupted."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence

from tailrace_operator.apply.kinds import CHILDREN, GATEWAY, MODEL, POD, Kind
from tailrace_operator.apply.kubernetes import KubernetesApi, KubernetesError
from tailrace_operator.controller.world import CHILD_SELECTOR, Key, World, missing
from tailrace_operator.plan import Ref

log = logging.getLogger("tailrace.operator.lister")

_RETRY_S = 2.0


class Lister:
    """Lists all that is watched. `namespaces`: empty for the whole cluster.

    `anew` is called before a later listing, whose looks are to take nothing for granted: the broker's objects neither.
    """

    def __init__(
        self,
        api: KubernetesApi,
        world: World,
        namespaces: Sequence[str],
        wake: Callable[[Key], None],
        anew: Callable[[], None] = lambda: None,
    ) -> None:
        self._api = api
        self._world = world
        self._namespaces = list(namespaces) or [""]
        self._wake = wake
        self._anew = anew
        self._soon = asyncio.Event()

    async def first(self) -> None:
        """The first listing, repeated until the API server answers."""
        while True:
            try:
                return await self.list_all()
            except KubernetesError as error:
                log.warning("lister.failed error=%s", error)
                await asyncio.sleep(_RETRY_S)

    async def run(self, every_s: float) -> None:
        """List every `every_s` seconds, and soon after `soon`, until cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._soon.wait(), every_s)
            await asyncio.sleep(_RETRY_S if self._soon.is_set() else 0)
            self._soon.clear()
            self._anew()
            await self.first()

    def soon(self) -> None:
        """A request failed or a watch was interrupted: what happened meanwhile may never be told."""
        self._soon.set()

    async def list_all(self) -> None:
        """Take in all that there is, forget what is gone, and wake everything."""
        known = self._world.refs()
        listed: set[Ref] = set()
        for namespace in self._namespaces:
            for kind in (MODEL, GATEWAY, *CHILDREN, POD):
                listed |= await self._list(kind, namespace)
        touched = {key for ref in missing(known, listed) for key in self._world.drop(ref)}
        for kind_name in ("StreamingModel", "StreamingGateway"):
            touched |= {key for key, _ in self._world.resources(kind_name)}
        for key in touched:
            self._wake(key)

    async def _list(self, kind: Kind, namespace: str) -> set[Ref]:
        selector = "" if kind in (MODEL, GATEWAY) else CHILD_SELECTOR
        found = await self._api.list_kind(Ref(kind.api_version, kind.kind, namespace, ""), selector)
        for item in found:
            self._world.put(item, answered=True)
        return {Ref.of(item) for item in found}
