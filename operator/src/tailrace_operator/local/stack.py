"""A whole local Tailrace: broker, broker objects, gateways and workers of some models, started and stopped together."""

import asyncio
import contextlib
from typing import Self

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from tailrace_broker.connection import close, connect
from tailrace_broker.tasks import end
from tailrace_protocol.reports import decode_worker_report
from tailrace_protocol.subjects import ALL_WORKER_REPORTS
from tailrace_protocol.wire import MalformedMessageError

from tailrace_operator.apply.broker import BrokerRefusedError
from tailrace_operator.local.broker import BrokerFailedError, LocalBroker, apply, remove_others
from tailrace_operator.local.http import status_of
from tailrace_operator.local.options import LocalOptions
from tailrace_operator.local.processes import Reaper
from tailrace_operator.local.programs import programs
from tailrace_operator.local.reports import WorkerBoard
from tailrace_operator.local.supervisor import Say, Supervised, ended
from tailrace_operator.local.troubles import LogWatch
from tailrace_operator.render import RenderSettings, render
from tailrace_operator.resources.files import Loaded

_LOOK_EVERY_S = 0.5
_RETRY_S = 1.0
#: The longest silence while something is waited for, in seconds.
_REMIND_AFTER_S = 10.0


class LocalStack:
    """Runs `loaded` on this machine. `say` is told every transition; nothing is left behind after `stop`."""

    def __init__(self, loaded: Loaded, options: LocalOptions, say: Say = lambda line: None) -> None:
        self.models = loaded.models
        self.options = options
        self.board = WorkerBoard()
        self.gateways: list[Supervised] = []
        self._wanted_gateways = loaded.gateways
        self.workers: list[Supervised] = []
        self._say = say
        self._told_at = 0.0
        self._reaper = Reaper()
        self._resources = contextlib.ExitStack()
        self.broker = LocalBroker(options.state_dir, reaper=self._reaper)
        self._connection: Client | None = None
        self._watches: list[asyncio.Task[None]] = []
        self._stopping = False

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            self.kill_now()
            await self.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start everything; returns when all programs run, before they serve. After a failure, call `stop`.

        Raises:
            BrokerFailedError, BrokerRefusedError: with the remedy.
        """
        self._resources.enter_context(self._reaper)
        await self.broker.start()
        self._tell(f"broker: nats-server at {self.broker.url}")
        for model in await remove_others(self.broker, {model.key for model in self.models}):
            self._tell(f"removed what {model} had on the broker: it is not among these files")
        await self._apply()
        self._connection = await connect(self.broker.settings_for("operator"), "tailrace-local")
        await self._connection.subscribe(ALL_WORKER_REPORTS, cb=self._on_report)
        await self._start_programs()
        self._watches = [asyncio.create_task(self._keep_broker()), asyncio.create_task(self._watch_logs())]

    async def wait_ready(self) -> None:
        """Wait until every gateway is ready and every model with replicas has a worker that serves."""
        while awaited := await self._awaited():
            self._remind(f"waiting for {', '.join(awaited)}")
            await asyncio.sleep(0.1)

    async def stop(self) -> None:
        """Stop gateways and workers, which drain, then the broker."""
        self._stopping = True
        try:
            await asyncio.gather(*(supervised.stop() for supervised in (*self.gateways, *self.workers)))
        finally:
            await end(*self._watches)
            await close(self._connection)
            await self.broker.stop()
            self._resources.close()

    def kill_now(self) -> None:
        """Kill gateways and workers without waiting for them; `stop` then ends soon."""
        for supervised in (*self.gateways, *self.workers):
            supervised.kill_now()

    async def _start_programs(self) -> None:
        gateways, workers = programs(self.models, self.options, self.broker.url, self._wanted_gateways)
        self.gateways = [Supervised(program, self._reaper, self._tell) for program in gateways]
        self.workers = [Supervised(program, self._reaper, self._tell) for program in workers]
        for supervised in (*self.gateways, *self.workers):
            supervised.program.log.unlink(missing_ok=True)
            await supervised.start()
        names = ", ".join(supervised.program.name for supervised in (*self.gateways, *self.workers))
        self._tell(f"started {names}; logs in {self.options.logs}")

    async def _apply(self) -> None:
        for model in self.models:
            await apply(self.broker, render(model, RenderSettings(local=True)).broker)

    async def _awaited(self) -> list[str]:
        """What does not serve yet."""
        now = asyncio.get_running_loop().time()
        models = [m for m in self.models if m.spec.replicas and not self.board.ready(m.key, now)]
        ports = [port for port in self.options.ports if await status_of(port, "/readyz") != 200]
        return [f"a worker of {m.metadata.name}" for m in models] + [f"the gateway on port {p}" for p in ports]

    def _tell(self, line: str) -> None:
        self._told_at = asyncio.get_running_loop().time()
        self._say(line)

    def _remind(self, line: str) -> None:
        """Say `line` when nothing was said for a while."""
        if asyncio.get_running_loop().time() - self._told_at > _REMIND_AFTER_S:
            self._tell(line)

    async def _on_report(self, message: Msg) -> None:
        with contextlib.suppress(MalformedMessageError):
            report = decode_worker_report(message.data)
            line = self.board.feed(report, asyncio.get_running_loop().time())
            if line is not None:
                self._tell(line)

    async def _watch_logs(self) -> None:
        watch = LogWatch()
        while True:
            for supervised in (*self.gateways, *self.workers):
                for line in watch.look(supervised.program.log, ours_only=self._stopping):
                    self._tell(f"{supervised.program.name} | {line}")
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _keep_broker(self) -> None:
        """Start a crashed broker again; what it kept in memory is gone, so its objects are made anew."""
        while True:
            code = await self.broker.child.wait()
            if self._stopping:
                return
            self._tell(f"nats-server {ended(code)}; starting it again")
            try:
                await self.broker.restart()
                await self._apply()
            except (BrokerFailedError, BrokerRefusedError, NatsError, OSError) as error:
                self._tell(f"the broker did not come back: {error}")
                await asyncio.sleep(_RETRY_S)
