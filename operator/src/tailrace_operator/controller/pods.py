"""Pods as conditions see them, and what is said only in events: why a pod hangs, or why a Job has none.

Events are not watched, since most of them tell nothing: those of one object are asked for when it is known to be stuck.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

from tailrace_operator.apply.kubernetes import KubernetesApi, KubernetesError
from tailrace_operator.conditions import PodView
from tailrace_operator.conditions.pods import PATIENCE_S
from tailrace_operator.plan import Ref
from tailrace_operator.render import Manifest

log = logging.getLogger("tailrace.operator")

#: Whoever repeats a complaint is let post an event about it every five minutes; an older one is settled, in seconds.
_FRESH_S = 360.0


class Pods:
    """Looks at pods at the time that `clock` tells."""

    def __init__(self, api: KubernetesApi, clock: Callable[[], datetime]) -> None:
        self._api = api
        self._clock = clock

    async def views(self, pods: Iterable[Manifest]) -> list[PodView]:
        """The pods, newest first; the newest that hangs with what its node says of it."""
        newest_first = sorted(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")), reverse=True)
        now = self._clock()
        views = [PodView.of(pod, now) for pod in newest_first]
        stuck = next((number for number, view in enumerate(views) if view.hangs and not view.going), None)
        if stuck is not None:
            views[stuck] = replace(views[stuck], overheard=await self.complaint_about(newest_first[stuck]))
        return views

    async def complaint_about(self, about: Manifest) -> str:
        """The last warning about an object that still counts; nothing if there is none, or it cannot be asked for."""
        described = about["metadata"]
        # That no node took a pod is settled when it hangs on one.
        chosen = f"involvedObject.uid={described['uid']},type=Warning,reason!=FailedScheduling"
        try:
            events = await self._api.list_kind(Ref("v1", "Event", described["namespace"], ""), field_selector=chosen)
        except KubernetesError as error:
            log.debug("events.unknown object=%s error=%s", described["name"], error)
            return ""
        newest = max(events, key=_posted, default=None)
        fresh = newest is not None and (self._clock() - _posted(newest)).total_seconds() < _FRESH_S
        return str(newest.get("message") or "") if newest and fresh else ""


def again_s(pods: Iterable[PodView]) -> float | None:
    """After how many seconds to look again at pods that wait, though nobody may tell of any change."""
    rests = [PATIENCE_S if pod.hangs else PATIENCE_S - pod.waits_s for pod in pods if pod.waits_s is not None]
    return min(rests, default=None)


def soonest(*delays_s: float | None) -> float | None:
    """The shortest of those delays that are any."""
    return min((delay for delay in delays_s if delay is not None), default=None)


def _posted(event: dict[str, Any]) -> datetime:
    """When it was posted last; who posts events fills in one or another of these fields."""
    repeated = (event.get("series") or {}).get("lastObservedTime")
    when = repeated or event.get("lastTimestamp") or event.get("eventTime") or event["metadata"]["creationTimestamp"]
    return datetime.fromisoformat(when)
