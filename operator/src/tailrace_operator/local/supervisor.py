"""Keeps programs running, as a kubelet does: a crashed one is started again, later each time it crashes soon."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from tailrace_operator.local.processes import Child, Program, Reaper

#: Told each transition in a sentence.
Say = Callable[[str], None]
Hook = Callable[[], Awaitable[None]]

_FIRST_DELAYS_S = (0.0, 1.0, 2.0, 4.0, 8.0)
_LONGEST_DELAY_S = 15.0
#: A program that ran this long begins with the shortest delay again, in seconds.
_HEALTHY_AFTER_S = 60.0


def restart_delay_s(crashes: int) -> float:
    """The wait before the restart after the `crashes`-th crash in a row (1 is the first)."""
    return _FIRST_DELAYS_S[crashes - 1] if crashes <= len(_FIRST_DELAYS_S) else _LONGEST_DELAY_S


class Supervised:
    """One program that is kept running until it is stopped."""

    def __init__(self, program: Program, reaper: Reaper, say: Say) -> None:
        self.program = program
        self._reaper = reaper
        self._say = say
        self._stopping = asyncio.Event()
        self._child: Child | None = None
        self._keeper: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The running process, if it runs."""
        return self._child.pid if self._child is not None and self._child.returncode is None else None

    async def start(self) -> None:
        """Start the program and keep it running.

        Raises:
            OSError: when there is no such program.
        """
        self._child = await Child.start(self.program, self._reaper)
        self._keeper = asyncio.create_task(self._keep(), name=f"keep {self.program.name}")

    async def stop(self) -> None:
        """Ask the program to stop, wait for its deadline, then kill it."""
        self._stopping.set()
        if self._child is not None:
            await self._child.stop()
        if self._keeper is not None:
            await self._keeper

    def kill_now(self) -> None:
        """Kill the program and its group, without waiting for their end; `stop` then ends soon."""
        self._stopping.set()
        if self._child is not None:
            self._child.kill_now()

    async def _keep(self) -> None:
        crashes = 0
        clock = asyncio.get_running_loop()
        while self._child is not None:
            began = clock.time()
            code = await self._child.wait()
            if self._stopping.is_set():
                return
            crashes = 1 if clock.time() - began > _HEALTHY_AFTER_S else crashes + 1
            delay = restart_delay_s(crashes)
            self._say(f"{self.program.name} {ended(code)}; starting it again {after(delay)} (log: {self.program.log})")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._stopping.wait()
            if self._stopping.is_set():
                return
            await self._start_again()

    async def _start_again(self) -> None:
        try:
            self._child = await Child.start(self.program, self._reaper)
        except OSError as error:
            self._say(f"{self.program.name} cannot be started: {error}")
            return
        if self._stopping.is_set():
            await self._child.stop()


def ended(code: int) -> str:
    """How a process ended, in words."""
    return f"was killed by signal {-code}" if code < 0 else f"exited with code {code}"


def after(delay_s: float) -> str:
    """When, in words."""
    return f"in {delay_s:g} s" if delay_s else "now"
