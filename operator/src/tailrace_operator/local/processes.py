"""Child processes that cannot be left behind: each in a session of its own, its output in a file, its group killed
with it, and a reaper that outlives the supervisor by a moment.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tailrace_operator.local import reaper as reaper_program

#: How long a killed process may take to be gone, in seconds.
_KILL_PATIENCE_S = 10.0


@dataclass(frozen=True, slots=True)
class Program:
    """What to run. Output is appended to `log`."""

    name: str
    command: Sequence[str]
    log: Path
    env: Mapping[str, str] = field(default_factory=dict)
    stop_within_s: float = 5.0


class Reaper:
    """The program that kills what a dead supervisor left, and removes what killed programs left; see `reaper`."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._folder = ""

    def __enter__(self) -> Self:
        self._folder = tempfile.mkdtemp(prefix="tailrace-")
        command = [sys.executable, "-I", "-S", str(reaper_program.__file__), self._folder]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
            self._process.wait(timeout=_KILL_PATIENCE_S)

    def environment(self) -> dict[str, str]:
        """What programs get: a temporary folder that goes with the last of them, as a pod's does.

        vLLM's sockets lie there, which a killed one leaves. The kernels that Torch compiles do not: that takes minutes.
        """
        kernels = str(Path(tempfile.gettempdir()) / f"torchinductor_{os.getuid()}")
        kept = os.environ.get("TORCHINDUCTOR_CACHE_DIR", kernels)
        return {"TMPDIR": self._folder, "TORCHINDUCTOR_CACHE_DIR": kept} if self._folder else {}

    def watch(self, group: int) -> None:
        """Kill `group` if this process dies."""
        self._tell(f"+{group}\n")

    def forget(self, group: int) -> None:
        """`group` is gone."""
        self._tell(f"-{group}\n")

    def _tell(self, line: str) -> None:
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.write(line.encode())
                self._process.stdin.flush()


class Child:
    """A running program, the leader of its own session and process group."""

    def __init__(self, program: Program, process: asyncio.subprocess.Process, reaper: Reaper) -> None:
        self.program = program
        self._process = process
        self._reaper = reaper
        self._gone = False

    @classmethod
    async def start(cls, program: Program, reaper: Reaper) -> "Child":
        """Start `program`.

        Raises:
            OSError: when there is no such program.
        """
        program.log.parent.mkdir(parents=True, exist_ok=True)
        with program.log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *program.command,
                env={**os.environ, **reaper.environment(), **program.env},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        reaper.watch(process.pid)
        return cls(program, process, reaper)

    @property
    def pid(self) -> int:
        """The process, and its group."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """How it ended, or `None` while it runs."""
        return self._process.returncode

    async def wait(self) -> int:
        """Wait for its end, and end what is left of its group with it."""
        code = await self._process.wait()
        if not self._gone:
            self._gone = True
            self._kill_group()
            self._reaper.forget(self.pid)
        return code

    async def stop(self) -> int:
        """Ask it to stop; kill it when it has not within its deadline."""
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.program.stop_within_s):
                    return await self.wait()
        return await self.kill()

    def kill_now(self) -> None:
        """Kill it and its group, without waiting for its end."""
        if not self._gone:
            self._kill_group()

    async def kill(self) -> int:
        """Kill it and its group at once."""
        self.kill_now()
        async with asyncio.timeout(_KILL_PATIENCE_S):
            return await self.wait()

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
