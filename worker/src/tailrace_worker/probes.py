"""The kubelet's three questions, as pure answers: an HTTP status and a sentence.

Starting, dead and busy are told apart, because each wants something else: loading a model may take half an hour and is
no reason to restart; a dead engine is; a worker that drains lives on but counts as available no more.
"""

from dataclasses import dataclass

from tailrace_worker.status import Status


@dataclass(frozen=True, slots=True)
class Answer:
    """What a probe is told; the kubelet takes 200 for yes and shows the sentence otherwise."""

    status: int
    sentence: str


def live(status: Status) -> Answer:
    """Whether to let it run on. A hung event loop cannot answer at all, which is an answer too."""
    return Answer(503, status.defect) if status.defect else Answer(200, "alive")


def startup(status: Status) -> Answer:
    """Whether the engine has loaded."""
    loaded = status.state in ("ready", "draining")
    return Answer(200, "started") if loaded else Answer(503, f"{status.state}: {status.progress}")


def ready(status: Status) -> Answer:
    """Whether it takes requests now, or could at any moment: one that retires is not missing."""
    if status.defect:
        return Answer(503, status.defect)
    if status.retiring:
        return Answer(200, "retiring")
    if status.state == "ready":
        return Answer(200, "ready")
    return Answer(503, f"{status.state}: {status.progress}" if status.progress else status.state)
