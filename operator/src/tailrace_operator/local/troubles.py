"""Warnings and errors from the programs' logs, shown on the terminal as they are written."""

import re
from dataclasses import dataclass, field
from pathlib import Path

_TROUBLE = re.compile(r"\b(WARNING|ERROR|CRITICAL|FATAL)\b|\[(ERR|FTL)\]|^\w+(\.\w+)*(Error|Exception): ")
_LONGEST = 300
_MOST_AT_ONCE = 5


@dataclass(slots=True)
class LogWatch:
    """Reads what was added to each log since the last look."""

    _offsets: dict[Path, int] = field(default_factory=dict)

    def skip(self, log: Path) -> None:
        """What the log holds now is old."""
        self._offsets[log] = log.stat().st_size if log.exists() else 0

    def look(self, log: Path) -> list[str]:
        """New lines that tell of trouble; of many at once the last ones, since the cause of a crash comes last."""
        if not log.exists():
            return []
        with log.open("rb") as file:
            file.seek(self._offsets.get(log, 0))
            text = file.read()
        complete = text[: text.rfind(b"\n") + 1]
        self._offsets[log] = self._offsets.get(log, 0) + len(complete)
        lines = [line for line in complete.decode(errors="replace").splitlines() if _TROUBLE.search(line)]
        dropped = len(lines) - _MOST_AT_ONCE
        shown = [line[:_LONGEST] for line in lines[-_MOST_AT_ONCE:]]
        return [f"({dropped} earlier lines in {log})", *shown] if dropped > 0 else shown
