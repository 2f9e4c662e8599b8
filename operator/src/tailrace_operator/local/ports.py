"""Whether a port of the loopback is free, and who has it when not."""

import errno
import socket
from pathlib import Path

#: State of a listening socket in /proc/net/tcp.
_LISTEN = "0A"


class PortTakenError(Exception):
    """The port is in use; the message names it, its holder where known, and the remedy."""


def check_free(port: int) -> None:
    """Make sure that the gateway can listen on `port`.

    Raises:
        PortTakenError: it cannot.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen(1)
        except OSError as error:
            if error.errno == errno.EACCES:
                raise PortTakenError(f"port {port} needs root: choose one above 1023, like PORT=8080") from None
            raise PortTakenError(
                f"port {port} is taken{_by(port)}: stop what uses it, or choose another one, like PORT={port + 10}"
            ) from None


def _by(port: int) -> str:
    holder = _holder(port)
    return f" by {holder}" if holder else ""


def _holder(port: int) -> str | None:
    """The program that listens on `port`, as far as this system and our rights let us see it."""
    sockets = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    if not sockets:
        return None
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(str(file.readlink()) in sockets for file in (process / "fd").iterdir()):
                words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                return f"process {process.name} ({words[:80]})"
        except OSError:
            continue
    return None


def _listening_inodes(port: int) -> set[str]:
    rows: list[list[str]] = []
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        if table.exists():
            rows += [line.split() for line in table.read_text().splitlines()[1:]]
    return {row[9] for row in rows if row[3] == _LISTEN and int(row[1].rsplit(":", 1)[1], 16) == port}
