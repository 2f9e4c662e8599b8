"""Warnings and errors from the programs' logs, shown on the terminal as they are written.

Libraries warn of much that nobody can act on (vLLM on a CPU: a dozen lines), so of theirs only errors are shown; the
log files hold everything.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

_OURS = re.compile(r"\b(WARNING|ERROR|CRITICAL) tailrace\b")
_THEIRS = re.compile(r"\b(ERROR|CRITICAL|FATAL)\b|^\w+(\.\w+)*(Error|Exception): ")
_LONGEST = 300
_MOST_AT_ONCE = 5


@dataclass(slots=True)
class LogWatch:
    """Reads what was added to each log since the last look."""

    _offsets: dict[Path, int] = field(default_factory=dict)

    def look(self, log: Path, *, ours_only: bool = False) -> list[str]:
        """New lines that tell of trouble; of many at once the last ones, since the cause of a crash comes last."""
        if not log.exists():
            return []
        with log.open("rb") as file:
            file.seek(self._offsets.get(log, 0))
            text = file.read()
        complete = text[: text.rfind(b"\n") + 1]
        self._offsets[log] = self._offsets.get(log, 0) + len(complete)
        lines = [line for line in complete.decode(errors="replace").splitlines() if _tells(line, ours_only=ours_only)]
        dropped = len(lines) - _MOST_AT_ONCE
        shown = [line[:_LONGEST] for line in lines[-_MOST_AT_ONCE:]]
        return [f"({dropped} earlier lines in {log})", *shown] if dropped > 0 else shown


def _tells(line: str, *, ours_only: bool) -> bool:
    return bool(_OURS.search(line) or (not ours_only and _THEIRS.search(line)))
