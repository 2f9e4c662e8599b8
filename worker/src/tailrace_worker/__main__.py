"""`python -m tailrace_worker --settings FILE`: run one worker until SIGTERM, then drain."""

import argparse
import asyncio
import logging
import signal
import sys
from pathlib import Path

import uvloop
from tailrace_broker import termination_log
from tailrace_broker.settings_file import SettingsError
from tailrace_protocol.errors import TailraceError
from tailrace_protocol.settings import WorkerSettings
from tailrace_protocol.termination import TerminationCode

from tailrace_worker.engines.engine import Engine
from tailrace_worker.giving_up import CannotRunError, last_words_of
from tailrace_worker.settings import load_settings
from tailrace_worker.worker import Worker

log = logging.getLogger("tailrace.worker")


def make_engine(settings: WorkerSettings) -> Engine:
    """The engine that the settings ask for; vLLM is imported only where it is used."""
    if settings.vllm is not None:
        from tailrace_worker.engines.vllm import VllmEngine

        return VllmEngine(settings.vllm, settings.model, settings.capacity)
    assert settings.simulated is not None  # noqa: S101 - checked by load_settings
    from tailrace_worker.engines.simulated import SimulatedEngine

    return SimulatedEngine(settings.simulated, settings.model, settings.capacity)


async def _serve(settings: WorkerSettings) -> int:
    """Serve; the exit status. Last words are left in here: the end of the loop waits for an engine that still loads."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        await Worker(settings, lambda: make_engine(settings)).serve(stop)
    except Exception as error:
        return _give_up(error)
    return 0


def main() -> None:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(prog="tailrace_worker", description=__doc__)
    parser.add_argument("--settings", type=Path, required=True, help="the worker's settings, a JSON file")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        settings = load_settings(arguments.settings)
    except SettingsError as error:
        sys.exit(_give_up(error))
    sys.exit(uvloop.run(_serve(settings)))


def _give_up(error: Exception) -> int:
    """Say why, here and to the kubelet; the exit status."""
    code, sentence = last_words_of(error)
    foreseen = isinstance(error, SettingsError | TailraceError | CannotRunError)
    # Whoever stops a worker on purpose while it loads need not be told of an error.
    level = logging.INFO if code is TerminationCode.STARTUP_TIMEOUT else logging.ERROR
    log.log(level, "worker.cannot_run code=%s reason=%s", code, sentence, exc_info=None if foreseen else error)
    termination_log.leave(code, sentence)
    return 2 if isinstance(error, SettingsError) else 1


if __name__ == "__main__":
    main()
