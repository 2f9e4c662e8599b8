"""How far the download of a model is, from its Job, its pods and its own reports."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from tailrace_protocol.fetch import FetchReport

from tailrace_operator.conditions import FetchView, Finding, PodView, reasons
from tailrace_operator.conditions.pods import last_words, pod_trouble
from tailrace_operator.plan import Ref
from tailrace_operator.render import Manifest

#: States of a download that has got through to its source.
_MOVING = ("downloading", "verifying", "done")
_MAX_MESSAGE = 1024


def running(observed: Sequence[Manifest], job: Manifest) -> Manifest | None:
    """`job` as it is on the cluster, if it is there and not over."""
    return _present(observed, job) if state(observed, job) == "running" else None


def state(observed: Sequence[Manifest], job: Manifest) -> Literal["missing", "running", "done", "failed"]:
    """What became of `job`."""
    present = _present(observed, job)
    if present is None:
        return "missing"
    conditions = (present.get("status") or {}).get("conditions") or ()
    ended = {condition["type"] for condition in conditions if condition["status"] == "True"}
    if "Complete" in ended:
        return "done"
    return "failed" if "Failed" in ended else "running"


def _present(observed: Sequence[Manifest], job: Manifest) -> Manifest | None:
    return next((child for child in observed if Ref.of(child) == Ref.of(job)), None)


def view(
    observed: Sequence[Manifest], job: Manifest, pods: Sequence[PodView], said: FetchReport | None, refused: str = ""
) -> FetchView:
    """The download as conditions see it.

    `said` is its own newest report; `refused`, with which words the API server does not let its pod in.
    """
    found = state(observed, job)
    if found == "done":
        return FetchView("done")
    trouble = _refusal(job, refused) or _trouble(pods, said)
    if found == "failed":
        again = f"delete Job {job['metadata']['name']} to try again, or change model.source"
        return FetchView("failed", f"{trouble or 'the download failed; see the logs of its pods'} ({again})", trouble)
    return FetchView("running", spoken(said) if said else "the model is being downloaded", trouble)


def status(view: FetchView, said: FetchReport | None, before: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The download for the resource's status, with every field: the API server would fill in what is left out."""
    if view.state == "none" and said is None:
        return None
    known = before or {}
    done, total = (
        (said.bytes_done, said.bytes_total) if said else (known.get("bytesDone", 0), known.get("bytesTotal", 0))
    )
    if view.state == "done":
        return _fields("done", total, total, 100, "")
    state = view.state if view.state == "failed" else said.state if said else "waiting"
    message = str(view.trouble or view.message or (spoken(said) if said else ""))
    return _fields(state, done, total, 100 * done // total if total else 0, message[:_MAX_MESSAGE])


def _fields(state: str, done: int, total: int, percent: int, message: str) -> dict[str, Any]:
    return {"state": state, "bytesDone": done, "bytesTotal": total, "percent": min(percent, 100), "message": message}


def spoken(report: FetchReport) -> str:
    """A download's report as a sentence."""
    if report.state != "downloading" or not report.bytes_total:
        return report.message or f"the download is {report.state}"
    done, total = report.bytes_done / 1e9, report.bytes_total / 1e9
    percent = 100 * report.bytes_done // report.bytes_total
    return f"downloading: {percent} % ({done:.1f} of {total:.1f} GB, {report.files_done} of {report.files_total} files)"


def _refusal(job: Manifest, refused: str) -> Finding | None:
    what = f"no pod is let in for Job {job['metadata']['name']}: {refused}"
    return Finding.with_remedy(reasons.PODS_REFUSED, what) if refused else None


def _trouble(pods: Sequence[PodView], said: FetchReport | None) -> Finding | None:
    """What is wrong, until a new try gets further than the one that failed: conditions must not flap with each try."""
    stuck = pod_trouble(pods)
    if stuck is not None or (said is not None and said.state in _MOVING):
        return stuck
    newest_first = sorted(pods, key=lambda pod: pod.created, reverse=True)
    return next((words for pod in newest_first if (words := last_words(pod)) is not None), None)
