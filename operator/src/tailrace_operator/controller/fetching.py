"""How far the download of a model is, from its Job, its pods and its own reports."""

from collections.abc import Sequence
from typing import Literal

from tailrace_operator.conditions import FetchView, PodView
from tailrace_operator.conditions.pods import last_words, pod_trouble
from tailrace_operator.plan import Ref
from tailrace_operator.render import Manifest


def state(observed: Sequence[Manifest], job: Manifest) -> Literal["missing", "running", "done", "failed"]:
    """What became of `job`."""
    present = next((child for child in observed if Ref.of(child) == Ref.of(job)), None)
    if present is None:
        return "missing"
    conditions = (present.get("status") or {}).get("conditions") or ()
    ended = {condition["type"] for condition in conditions if condition["status"] == "True"}
    if "Complete" in ended:
        return "done"
    return "failed" if "Failed" in ended else "running"


def view(observed: Sequence[Manifest], job: Manifest, pods: Sequence[PodView], said: str) -> FetchView:
    """The download as conditions see it; `said` is its own newest report."""
    found = state(observed, job)
    if found == "done":
        return FetchView("done")
    trouble = _trouble(pods)
    if found == "failed":
        reason, message = trouble or ("DownloadFailed", "the download failed; see the logs of its pods")
        again = f"delete Job {job['metadata']['name']} to try again, or change model.source"
        return FetchView("failed", reason, f"{message} ({again})")
    if trouble is not None:
        return FetchView("running", *trouble)
    return FetchView("running", "Downloading", said or "the model is being downloaded")


def _trouble(pods: Sequence[PodView]) -> tuple[str, str] | None:
    stuck = pod_trouble(pods)
    if stuck is not None:
        return stuck.reason, stuck.message
    for pod in sorted(pods, key=lambda pod: pod.created, reverse=True):
        for container in pod.containers:
            if (words := last_words(container)) is not None:
                return words
    return None
