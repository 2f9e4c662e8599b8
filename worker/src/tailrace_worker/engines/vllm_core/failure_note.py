"""Why the engine core failed: carried from its process to the worker's.

vLLM tells the cause in the log of the process that failed and raises only "see root cause above" in the other one. And
an engine core whose executor fails at its start waits, as it exits, for executor processes that nobody told to end; so
it is ended from here, and they with it.
"""

import contextlib
import logging
import os
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

#: Names the file, for the engine's processes.
VARIABLE = "TAILRACE_ENGINE_FAILURE_NOTE"
#: What an engine core says last when it does not come up, and how long it may then take to exit.
_GAVE_UP = "EngineCore failed to start"
_EXIT_WITHIN_S = 5.0


class Note:
    """The file that the engine's processes write to."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def first(self) -> str:
        """The first failure told, in one line, which caused the others; empty when none was."""
        return next(iter(self._lines()), "")

    def latest(self) -> str:
        """The failure that an engine died of, in one line: earlier ones it has survived."""
        return next(reversed(self._lines()), "")

    def _lines(self) -> list[str]:
        try:
            return self._path.read_text().splitlines()
        except OSError:
            return []


@contextlib.contextmanager
def collected() -> Iterator[Note]:
    """While inside, processes that are started write their failures to the note."""
    with tempfile.TemporaryDirectory(prefix="tailrace-engine-") as directory:
        path = Path(directory) / "failure"
        os.environ[VARIABLE] = str(path)
        try:
            yield Note(path)
        finally:
            os.environ.pop(VARIABLE, None)


class _NoteWriter(logging.Handler):
    def __init__(self, path: str) -> None:
        super().__init__(logging.ERROR)
        self._path = path

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            with contextlib.suppress(OSError), Path(self._path).open("a") as file:
                file.write(f"{type(error).__name__}: {' '.join(str(error).split())}\n")
        if record.getMessage().startswith(_GAVE_UP):
            ending = threading.Timer(_EXIT_WITHIN_S, os._exit, [1])
            ending.daemon = True
            ending.start()


def write_failures() -> None:
    """In an engine's process: write what vLLM logs as failure to the note, if the worker asked for one."""
    if path := os.environ.get(VARIABLE):
        logging.getLogger("vllm").addHandler(_NoteWriter(path))
