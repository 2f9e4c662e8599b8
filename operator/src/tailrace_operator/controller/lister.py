"""A full listing now and then: finds what no event told of, above all deletions while a watch was interrupted.

Whom it tells something new is looked at now. All others are looked at too, since events are not all that may be missed,
but one after the other: a thousand at once keep a core busy for ten seconds.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence

from tailrace_operator.apply.kinds import CHILDREN, GATEWAY, MODEL, POD, Kind
from tailrace_operator.apply.kubernetes import KubernetesApi, KubernetesError, RefusedError
from tailrace_operator.controller.world import CHILD_SELECTOR, Key, World, missing
from tailrace_operator.plan import Ref

log = logging.getLogger("tailrace.operator.lister")

_RETRY_S = 2.0
_RESOURCES = ("StreamingModel", "StreamingGateway")


class Lister:
    """Lists all that is watched. `namespaces`: empty for the whole cluster.

    `anew` is called before a later listing, whose looks are to take nothing for granted: the broker's objects neither.
    `wake_in` is told after how many seconds to look at somebody of whom nothing is new.
    """

    def __init__(
        self,
        api: KubernetesApi,
        world: World,
        namespaces: Sequence[str],
        wake: Callable[[Key], None],
        wake_in: Callable[[Key, float], None],
        anew: Callable[[], None] = lambda: None,
    ) -> None:
        self._api = api
        self._world = world
        self._namespaces = list(namespaces) or [""]
        self._wake = wake
        self._wake_in = wake_in
        self._anew = anew
        self._soon = asyncio.Event()
        #: Whom a listing that broke off halfway told something new: the next one finds that known.
        self._news: set[Key] = set()

    async def first(self, over_s: float = 0.0) -> None:
        """A listing, repeated until the API server answers."""
        while True:
            try:
                return await self.list_all(over_s)
            except KubernetesError as error:
                log.warning("lister.failed error=%s", error)
                await asyncio.sleep(_RETRY_S)

    async def run(self, every_s: float) -> None:
        """List every `every_s` seconds, and soon after `soon`, until cancelled; have everybody looked at meanwhile."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(every_s):
                    await self._soon.wait()
            await asyncio.sleep(_RETRY_S if self._soon.is_set() else 0)
            self._soon.clear()
            self._anew()
            await self.first(over_s=every_s)

    def soon(self) -> None:
        """A request failed or a watch was interrupted: what happened meanwhile may never be told."""
        self._soon.set()

    async def list_all(self, over_s: float = 0.0) -> None:
        """Take in all that there is, forget what is gone, wake whom that concerns; the others within `over_s`."""
        known, news = self._world.refs(), self._news
        listed: set[Ref] = set()
        for namespace in self._namespaces:
            for kind in (MODEL, GATEWAY, *CHILDREN, POD):
                listed |= await self._list(kind, namespace)
        news |= {key for ref in missing(known, listed) for key in self._world.drop(ref)}
        for key in news:
            self._wake(key)
        others = [key for name in _RESOURCES for key, _ in self._world.resources(name) if key not in news]
        for number, key in enumerate(others):
            self._wake_in(key, over_s * number / len(others))
        log.info("lister.listed objects=%d news=%d others=%d", len(listed), len(news), len(others))
        news.clear()

    async def _list(self, kind: Kind, namespace: str) -> set[Ref]:
        """What there is of a kind. Of a namespace whose rights we have lost, with it or before it, what was known."""
        selector = "" if kind in (MODEL, GATEWAY) else CHILD_SELECTOR
        try:
            found = await self._api.list_kind(Ref(kind.api_version, kind.kind, namespace, ""), selector)
        except RefusedError as error:
            if not namespace:
                raise
            log.warning("lister.refused namespace=%s error=%s", namespace, error)
            return {ref for ref in self._world.refs() if (ref.kind, ref.namespace) == (kind.kind, namespace)}
        for item in found:
            is_new = not self._world.knows(item)
            concerned = self._world.put(item, answered=True)
            self._news |= concerned if is_new else set()
        return {Ref.of(item) for item in found}
