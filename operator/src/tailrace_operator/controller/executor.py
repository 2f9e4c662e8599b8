"""Carries plans out, one action after the other, and finds out whose an object is before it touches it."""

import logging
from dataclasses import dataclass, field

from tailrace_operator.apply.kubernetes import KubernetesApi, RefusedError
from tailrace_operator.controller.world import World
from tailrace_operator.plan import Apply, Ownership, Plan, drift, ownership

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
            try:
                if (conflict := await self._apply(action, owner_uid)) is not None:
                    outcome.conflicts.append(conflict)
                else:
                    outcome.done += 1
            except RefusedError as error:
                outcome.conflicts.append(f"the API server refused {action.ref}: {error}")
            log.info("plan.action do=apply object=%s reason=%s", action.ref, action.reason)
        for deletion in plan.deletes:
            await self._api.delete(deletion.ref, deletion.uid)
            outcome.done += 1
            log.info("plan.action do=delete object=%s reason=%s", deletion.ref, deletion.reason)
        return outcome

    async def _apply(self, action: Apply, owner_uid: str) -> str | None:
        uid = action.uid
        if uid is None:
            present = await self._api.get(action.ref)
            if present is not None:
                whose = ownership(present, owner_uid)
                if whose is Ownership.FOREIGN:
                    return (
                        f"{action.ref} exists and is not ours, so it is left alone: "
                        "delete or rename it, or give the resource another name"
                    )
                if whose is Ownership.LEFTOVER:
                    raise LeftoverError(f"{action.ref} of a resource that was deleted is still there")
                self._world.put(present)
                if not drift(action.manifest, present):
                    return None
                uid = present["metadata"]["uid"]
        self._world.put(await self._api.apply(action.manifest, uid))
        return None
