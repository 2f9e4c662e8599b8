"""Holds a model until its streams are gone from the broker, and lets go of it in the end even if the broker is dead."""

import logging
from collections.abc import Callable
from datetime import datetime

from tailrace_protocol.subjects import ModelKey

from tailrace_operator.apply.kubernetes import KubernetesApi, NotFoundError
from tailrace_operator.controller.broker_link import BrokerLink
from tailrace_operator.controller.journal import Journal
from tailrace_operator.controller.orphans import removal
from tailrace_operator.plan import Ref
from tailrace_operator.render import Manifest
from tailrace_operator.resources import StreamingModel
from tailrace_operator.resources.model import API_VERSION, GROUP

log = logging.getLogger("tailrace.operator")

FINALIZER = f"{GROUP}/broker"


class BrokerAwayError(Exception):
    """The broker cannot be asked to forget the model yet: try again."""


class Finalizer:
    """`patience_s`: how long a deletion waits for a broker that does not answer."""

    def __init__(
        self,
        api: KubernetesApi,
        broker: BrokerLink,
        journal: Journal,
        patience_s: float,
        clock: Callable[[], datetime],
    ) -> None:
        self._api = api
        self._broker = broker
        self._journal = journal
        self._patience_s = patience_s
        self._clock = clock

    async def hold(self, resource: Manifest) -> None:
        """See to it that the model is not gone before `let_go`."""
        finalizers = resource["metadata"].get("finalizers") or []
        if FINALIZER not in finalizers:
            await self._api.set_finalizers(resource, [*finalizers, FINALIZER])

    async def let_go(self, resource: Manifest) -> None:
        """Remove what the deleted model has on the broker, then our hold.

        Raises:
            BrokerAwayError: while there is still hope.
        """
        described = resource["metadata"]
        finalizers = described.get("finalizers") or []
        if FINALIZER not in finalizers:
            return
        model = ModelKey(described["namespace"], described["name"])
        view = await self._broker.remove(model)
        if view.state != "ready":
            waited = (self._clock() - datetime.fromisoformat(described["deletionTimestamp"])).total_seconds()
            if waited < self._patience_s:
                raise BrokerAwayError(f"{view.message}; giving up in {self._patience_s - waited:.0f} s")
            why = f"the broker did not answer for {waited:.0f} s ({view.message}), so its streams stay there"
            await self._journal.tell(resource, "Warning", "BrokerStateLeft", f"{why}; {removal(model)}")
            self._broker.disown(model)
        await self._release(resource, finalizers)

    async def _release(self, resource: Manifest, finalizers: list[str]) -> None:
        try:
            await self._api.set_finalizers(resource, [name for name in finalizers if name != FINALIZER])
        except NotFoundError:
            log.info("finalizer.gone name=%s", resource["metadata"]["name"])

    async def forsake(self, resource: Manifest) -> None:
        """Remove what the model has on the broker before it is deleted itself, as it will be, and our hold.

        Where rights are given in the model's own namespace, they may go before the model does.

        Raises:
            BrokerAwayError: the broker cannot be asked now.
        """
        described = resource["metadata"]
        await self._forget(ModelKey(described["namespace"], described["name"]), "whose namespace is deleted")
        finalizers = described.get("finalizers") or []
        if FINALIZER in finalizers:
            await self._release(resource, finalizers)

    async def clean_up(self, model: ModelKey) -> None:
        """Remove what is left of a model that is gone though we held it: somebody took our hold away by hand.

        Raises:
            BrokerAwayError: the broker cannot be asked now.
        """
        ref = Ref(API_VERSION, StreamingModel.kind_name, model.namespace, model.name)
        # A late word of the end of a former model of that name must not cost the present one its streams.
        if not self._broker.holds(model) or await self._api.get(ref) is not None:
            return
        await self._forget(model, "which is gone")

    async def _forget(self, model: ModelKey, which: str) -> None:
        view = await self._broker.remove(model)
        if view.state != "ready":
            raise BrokerAwayError(f"the streams of {model}, {which}, are still on the broker: {view.message}")
