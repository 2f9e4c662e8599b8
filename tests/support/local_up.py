"""`make up` as a process that tests drive: its output, its children, and what is left when it is gone."""

import json
import random
import re
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]
SIMULATED = ROOT / "examples" / "simulated.yaml"


def free_port() -> int:
    """The first of two neighbouring free ports, outside the range that outgoing connections are given."""
    while True:
        port = random.randrange(20_000, 30_000)
        with socket.socket() as first, socket.socket() as second:
            try:
                first.bind(("127.0.0.1", port))
                second.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port


class Up:
    """A running `up`, its output read as it comes."""

    def __init__(self, state: Path, *arguments: str, port: int, file: Path = SIMULATED) -> None:
        self.port = port
        self._state = state
        self._log = (state.parent / "up.log").open("w+")
        command = [sys.executable, "-m", "tailrace_operator.local", "up", str(file)]
        options = ["--port", str(port), "--state", str(state), *arguments]
        self.process = subprocess.Popen([*command, *options], stdout=self._log, stderr=subprocess.STDOUT, cwd=ROOT)

    @property
    def output(self) -> str:
        return Path(self._log.name).read_text()

    def everything_said(self) -> str:
        logs = sorted((self._state / "logs").glob("*.log"))
        return "\n".join([self.output, *(f"--- {log.name}\n{log.read_text()}" for log in logs)])

    def wait_for(self, text: str) -> None:
        self.wait_for_match(re.escape(text))

    def wait_for_match(self, pattern: str, patience_s: float = 40) -> None:
        deadline = time.monotonic() + patience_s
        while not re.search(pattern, self.output):
            assert self.process.poll() is None, self.output
            assert time.monotonic() < deadline, self.output
            time.sleep(0.05)

    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def programs(self, part: str) -> list[psutil.Process]:
        """The workers, gateways or brokers among the children."""
        command = {"worker": "tailrace_worker", "gateway": "tailrace_gateway", "nats": "nats-server"}[part]
        found = []
        for child in self.family():
            with suppress(psutil.NoSuchProcess):
                found += [child] if command in " ".join(child.cmdline()) else []
        return found

    def temporary(self) -> Path:
        """Where the workers have their temporary files, such as vLLM's sockets."""
        return Path(self.programs("worker")[0].environ()["TMPDIR"])

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        self._log.close()


@contextmanager
def up(state: Path, *arguments: str, **options):
    running = Up(state, *arguments, port=options.pop("port", None) or free_port(), **options)
    try:
        yield running
    finally:
        running.close()


def answer(running: Up, gateway: int = 0, patience_s: float = 20) -> str:
    """A short streamed answer; when it does not end in time, everything that the programs said."""
    body = {"model": "simulated", "stream": True, "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]}
    request = urllib.request.Request(
        f"http://127.0.0.1:{running.port + gateway}/v1/chat/completions",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    deadline, text = time.monotonic() + patience_s, ""
    with urllib.request.urlopen(request, timeout=patience_s) as response:
        for line in response:
            text += line.decode()
            assert time.monotonic() < deadline, f"{text}\n{running.everything_said()}"
    return text


def gone(processes: list[psutil.Process], patience_s: float = 5) -> bool:
    _, alive = psutil.wait_procs(processes, timeout=patience_s)
    return not [process for process in alive if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return probe.connect_ex(("127.0.0.1", port)) != 0
