"""What an admin asks of a model's size."""

from dataclasses import dataclass

#: The setting that a model has when its admin says nothing.
DEFAULT_UTILIZATION = 0.8
#: Holding an idle worker at the default setting is worth half of what starting one costs.
_PATIENCE_AT_DEFAULT = 0.5
#: How fast patience grows as the setting falls: half the utilisation is bought with sixteen times the patience.
_PATIENCE_EXPONENT = 4


@dataclass(frozen=True, slots=True)
class Policy:
    """The limits of a model's size, and how much idle capacity shorter waits are worth."""

    slots: int
    """Streams that one worker generates at once."""
    min_workers: int = 0
    max_workers: int = 64
    utilization: float = DEFAULT_UTILIZATION
    """The share of the slots to be filled: above 1, requests are meant to wait."""
    zero_grace_s: float = 3600.0
    """With nothing in flight for so long, only `min_workers` are kept, however often one was wanted again."""

    @property
    def streams_per_worker(self) -> float:
        """The load that one worker is meant to carry."""
        return self.utilization * self.slots

    @property
    def patience(self) -> float:
        """How much idle time one cold start is worth, as a multiple of the cold start's length.

        One knob sets both utilisation and patience: who wants short waits keeps slots free and workers warm.
        """
        return _PATIENCE_AT_DEFAULT * (DEFAULT_UTILIZATION / self.utilization) ** _PATIENCE_EXPONENT
