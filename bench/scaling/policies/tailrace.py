"""Ours: the operator's own `decide`, given what the operator would see."""

from tailrace_operator.scaling import Policy, Sample, State, decide

from bench.scaling.autoscaler import Autoscaler, View


class Tailrace(Autoscaler):
    """Looks once a second; a worker that goes hands its streams over."""

    hands_over = True
    empties_in_turn = True

    def __init__(self, utilization: float, slots: int) -> None:
        self._policy = Policy(slots=slots, utilization=utilization)
        self._state = State.at_start(0.0, 1)

    def size(self, view: View, present: int) -> int:
        """What the operator would ask for."""
        sample = Sample(
            view.at, view.accepted, view.active, view.queued, view.ready, view.starting, start_s=view.cold_start_s
        )
        decision = decide(view.at, [sample], self._state, self._policy)
        self._state = decision.state
        return decision.size
