"""How one local run is set up."""

import sys
from dataclasses import dataclass, field
from pathlib import Path

from tailrace_operator.local.mounts import Places


@dataclass(frozen=True, slots=True)
class LocalOptions:
    """Everything but the models. Gateways listen on the loopback, on `port` and the ports after it."""

    state_dir: Path = field(default_factory=lambda: Path(".tailrace").absolute())
    port: int = 8080
    gateways: int = 1
    #: Runs gateways and simulated workers.
    python: Path = field(default_factory=lambda: Path(sys.executable))
    #: Runs workers with vLLM, which has an environment of its own.
    worker_python: Path = field(default_factory=lambda: Path(".venv-worker/bin/python").absolute())

    @property
    def ports(self) -> list[int]:
        """The gateways' ports."""
        return list(range(self.port, self.port + self.gateways))

    @property
    def model_root(self) -> Path:
        """What `/models` of a node is here."""
        return self.state_dir / "models"

    @property
    def logs(self) -> Path:
        """Where every program's output goes."""
        return self.state_dir / "logs"

    @property
    def places(self) -> Places:
        """What pods mount."""
        return Places(self.state_dir / "run", self.state_dir / "secrets", self.model_root)
