"""Kills what is left when the supervisor is gone, and removes the folder that its programs had for temporary files.

A program of its own, run as a script, that needs nothing of ours. The supervisor holds the other end of its standard
input and names the process groups that live. The end of that input, however the supervisor died, is the order to kill
them. It works for grandchildren too, and on every Unix.
"""

import contextlib
import os
import shutil
import signal
import sys


def main() -> None:
    """Read '+<group>' and '-<group>' lines until the supervisor is gone; then end what is left, files too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin:
        group = int(line[1:])
        (groups.add if line[0] == "+" else groups.discard)(group)
    for group in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
    for folder in sys.argv[1:]:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
