"""Carries plans out, one action after the other, and finds out whose an object is before it touches it."""

import logging
from collections.abc import Awaitable
from dataclasses import dataclass, field

from tailrace_operator.apply.kubernetes import KubernetesApi, RefusedError
from tailrace_operator.controller.world import World
from tailrace_operator.plan import Apply, Delete, Ownership, Plan, Ref, drift, ownership
from tailrace_operator.render import Manifest

log = logging.getLogger("tailrace.operator")


class LeftoverError(Exception):
    """An object of a resource that is gone still bears the name: the garbage collector is at it; try again soon."""


@dataclass
class Outcome:
    """What became of a plan."""

    done: int = 0
    #: What stands in the way, in sentences that name the object and the remedy.
    conflicts: list[str] = field(default_factory=list)


class Executor:
    """Writes to the API server, and lets the world know at once what came of it."""

    def __init__(self, api: KubernetesApi, world: World) -> None:
        self._api = api
        self._world = world

    async def carry_out(self, plan: Plan, owner_uid: str) -> Outcome:
        """Do all that `plan` says; what the API server refuses is a conflict, and the rest is done nevertheless.

        Raises:
            LeftoverError: try again soon.
            KubernetesError: the API server cannot be asked now.
        """
        outcome = Outcome()
        for action in plan.applies:
            await self._note(outcome, action, self._apply(action, owner_uid))
        for deletion in plan.deletes:
            await self._note(outcome, deletion, self._delete(deletion))
        return outcome

    async def _note(self, outcome: Outcome, action: Apply | Delete, doing: Awaitable[str | None]) -> None:
        try:
            conflict = await doing
        except RefusedError as error:
            conflict = f"the API server refused {error}"
        verb = type(action).__name__.lower()
        log.info("plan.action do=%s object=%s reason=%s conflict=%s", verb, action.ref, action.reason, conflict)
        if conflict is None:
            outcome.done += 1
        else:
            outcome.conflicts.append(conflict)

    async def _delete(self, deletion: Delete) -> str | None:
        await self._api.delete(deletion.ref, deletion.uid)
        return None

    async def _apply(self, action: Apply, owner_uid: str) -> str | None:
        """Why it cannot be applied, if somebody else is in the way."""
        uid = action.uid
        if uid is None and (present := await self._api.get(action.ref)) is not None:
            whose = ownership(present, owner_uid)
            if whose is Ownership.LEFTOVER:
                raise LeftoverError(f"{action.ref} of a resource that was deleted is still there")
            if whose is Ownership.FOREIGN:
                return _in_the_way(action.ref)
            if self._is_as_wanted(action.manifest, present):
                return None
            uid = present["metadata"]["uid"]
        self._world.put(await self._api.apply(action.manifest, uid), answered=True)
        return None

    def _is_as_wanted(self, wanted: Manifest, present: Manifest) -> bool:
        """No event has told of it yet, and there may be nothing to write."""
        self._world.put(present, answered=True)
        return not drift(wanted, present)


def _in_the_way(ref: Ref) -> str:
    remedy = "delete or rename it, or give the resource another name"
    return f"{ref} exists and is not ours, so it is left alone: {remedy}"
