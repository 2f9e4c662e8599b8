"""What processes use: CPU time and resident memory, and how busy the rest of the machine was meanwhile."""

import time
from dataclasses import dataclass

import psutil


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Times in seconds; `busy_s` is that of all cores together."""

    at: float
    busy_s: float
    cpu_s: dict[str, float]
    rss_bytes: dict[str, int]


@dataclass(frozen=True, slots=True)
class Used:
    """Between two snapshots: seconds of CPU by part, the cores that other programs kept busy, and the idle ones."""

    seconds: float
    cpu_s: dict[str, float]
    others_cores: float
    idle_cores: float


class Watch:
    """Looks at named groups of processes."""

    def __init__(self, groups: dict[str, list[int]]) -> None:
        self._groups = {name: [psutil.Process(pid) for pid in pids] for name, pids in groups.items()}

    def look(self) -> Snapshot:
        """How things are now."""
        machine = psutil.cpu_times()
        idle = machine.idle + getattr(machine, "iowait", 0.0)
        cpu = {name: sum(_cpu_s(p) for p in group) for name, group in self._groups.items()}
        rss = {name: sum(p.memory_info().rss for p in group) for name, group in self._groups.items()}
        return Snapshot(time.monotonic(), sum(machine[:8]) - idle, cpu, rss)


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def between(first: Snapshot, second: Snapshot) -> Used:
    """What was used from `first` to `second`."""
    seconds = second.at - first.at
    cpu = {name: second.cpu_s[name] - first.cpu_s[name] for name in first.cpu_s}
    busy = (second.busy_s - first.busy_s) / seconds
    others = max(0.0, busy - sum(cpu.values()) / seconds)
    return Used(seconds, cpu, others, max(0.0, (psutil.cpu_count() or 1) - busy))
