"""Kills what is left when the supervisor is gone: a program of its own, run as a script, that needs nothing of ours.

The supervisor holds the other end of its standard input and names the process groups that live. The end of that
input, however the supervisor died, is the order to kill them. It works for grandchildren too, and on every Unix.
"""

import contextlib
import os
import signal
import sys


def main() -> None:
    """Read '+<group>' and '-<group>' lines until the supervisor is gone; then kill the groups that are left."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin:
        group = int(line[1:])
        (groups.add if line[0] == "+" else groups.discard)(group)
    for group in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    main()
