"""What a worker is doing now: one source for its reports, its probes and its metrics."""

from dataclasses import dataclass

from tailrace_protocol.reports import WorkerState


@dataclass(slots=True)
class Status:
    """`active` and `capacity` count streams; `progress` is a sentence for whoever waits.

    `retiring`: it drains, and comes back if it is wanted again. `defect` says, once something broke that only a new
    process mends, what it was.
    """

    capacity: int
    state: WorkerState = "starting"
    progress: str = "starting"
    active: int = 0
    retiring: bool = False
    defect: str = ""
