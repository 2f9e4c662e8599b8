"""Lines for the person who waits: each with the seconds since the start."""

import sys
import time


class Terminal:
    """Prints progress. A terminal that went away is no reason to stop serving."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def say(self, line: str) -> None:
        """One line of progress."""
        self.print(f"[{time.monotonic() - self._began:6.1f} s] {line}")

    def print(self, text: str) -> None:
        """Text as it is."""
        try:
            print(text, flush=True)
        except OSError:
            sys.stdout = open("/dev/null", "w")  # noqa: SIM115, PTH123 - stays open as long as the program runs
