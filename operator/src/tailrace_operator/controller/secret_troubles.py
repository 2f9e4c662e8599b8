"""What is wrong with the broker's passwords for a namespace: found by the look at the namespace, told by its resources.

Their pods mount these passwords, and wait for them in silence.
"""

from collections.abc import Callable


class SecretTroubles:
    """A sentence for each namespace in which something is wrong; `changed` is told where that changes."""

    def __init__(self, changed: Callable[[str], None]) -> None:
        self._changed = changed
        self._troubles: dict[str, str] = {}

    def of(self, namespace: str) -> str:
        """What is wrong there, or nothing."""
        return self._troubles.get(namespace, "")

    def tell(self, namespace: str, trouble: str) -> None:
        """`trouble` is what is wrong there now; empty when nothing is."""
        if trouble == self.of(namespace):
            return
        self._troubles[namespace] = trouble
        if not trouble:
            del self._troubles[namespace]
        self._changed(namespace)
