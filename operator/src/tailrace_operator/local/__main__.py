"""`python -m tailrace_operator.local up FILE...`: run the models of some files on this machine until Ctrl-C."""

import argparse
import asyncio
import signal
import sys
from collections.abc import Coroutine, Sequence
from pathlib import Path

from nats.errors import Error as NatsError
from tailrace_broker.tasks import end
from tailrace_protocol.errors import TailraceError

from tailrace_operator.apply.broker import BrokerRefusedError
from tailrace_operator.local.beyond import beyond_local
from tailrace_operator.local.broker import BrokerFailedError
from tailrace_operator.local.lock import AlreadyRunningError, sole_run
from tailrace_operator.local.options import LocalOptions
from tailrace_operator.local.preflight import PreflightError, check, check_ports, models_need_vllm
from tailrace_operator.local.stack import LocalStack
from tailrace_operator.local.terminal import Terminal
from tailrace_operator.local.welcome import welcome
from tailrace_operator.resources import StreamingModel
from tailrace_operator.resources.files import FileError, Loaded, load

_EXPECTED = (FileError, PreflightError, AlreadyRunningError, BrokerFailedError, BrokerRefusedError, TailraceError)


async def serve(loaded: Loaded, options: LocalOptions, terminal: Terminal) -> None:
    """Run the models until a signal; a second signal kills what still drains."""
    stop = asyncio.Event()
    loaded = Loaded([_at_one_size(model) for model in loaded.models], loaded.gateways)
    stack = LocalStack(loaded, options, terminal.say)

    def on_signal() -> None:
        if stop.is_set():
            terminal.say("stopping at once")
            stack.kill_now()
        else:
            terminal.say("stopping: running streams may end (again to stop at once)")
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, on_signal)
    try:
        await _unless(stop, stack.start())
        await _unless(stop, stack.wait_ready())
        if not stop.is_set():
            terminal.print("\n" + welcome(loaded.models, options.ports, _shown(options.python)) + "\n")
        await stop.wait()
    finally:
        await stack.stop()
    terminal.say("stopped")


def _at_one_size(model: StreamingModel) -> StreamingModel:
    """Nothing scales here: a model that would be scaled has its least workers, and one at least."""
    return model.with_workers(max(1, model.spec.auto.min_replicas)) if model.spec.auto else model


async def _unless(stop: asyncio.Event, work: Coroutine[None, None, None]) -> None:
    """Do `work`, or leave it when `stop` comes first."""
    if stop.is_set():
        work.close()
        return
    doing, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({doing, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await end(doing, stopping)
    if not doing.cancelled():
        doing.result()


def _shown(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _port(text: str) -> int:
    port = int(text)
    if not 1 <= port <= 65_535:
        raise ValueError(text)
    return port


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tailrace_operator.local", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="run the StreamingModels of some files until Ctrl-C")
    needs = commands.add_parser("needs", help="check files and ports; print what must be installed: 'vllm', or nothing")
    for command in (up, needs):
        command.add_argument("files", nargs="+", type=Path, metavar="FILE", help="YAML with StreamingModels")
        command.add_argument("--port", type=_port, default=8080, help="port of the first gateway (default 8080)")
        command.add_argument("--gateways", type=int, default=1, choices=range(1, 17), help="how many (default 1)")
    up.add_argument("--state", type=Path, default=Path(".tailrace"), help="where state is kept (default .tailrace)")
    up.add_argument(
        "--worker-python",
        type=Path,
        default=Path(".venv-worker/bin/python"),
        help="Python that has vLLM",
    )
    return parser.parse_args(argv)


def _up(arguments: argparse.Namespace) -> None:
    terminal = Terminal()
    options = LocalOptions(
        state_dir=arguments.state.absolute(),
        port=arguments.port,
        gateways=arguments.gateways,
        worker_python=arguments.worker_python.absolute(),
    )
    loaded = load(arguments.files)
    with sole_run(options.state_dir):
        check(loaded, options)
        if missing := beyond_local(loaded):
            terminal.say(missing)
        asyncio.run(serve(loaded, options, terminal))


def _needs(arguments: argparse.Namespace) -> None:
    models = load(arguments.files).models
    check_ports(LocalOptions(port=arguments.port, gateways=arguments.gateways))
    print("vllm" if models_need_vllm(models) else "nothing")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; 2 for what the user can put right, told in one line each."""
    arguments = _arguments(argv)
    try:
        if arguments.command == "needs":
            _needs(arguments)
        else:
            _up(arguments)
    except (*_EXPECTED, NatsError) as error:
        print("\n".join(f"error: {line}" for line in str(error).splitlines()), file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
