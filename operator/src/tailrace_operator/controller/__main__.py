"""`python -m tailrace_operator.controller --settings FILE`: run the operator until SIGTERM."""

import argparse
import asyncio
import contextlib
import logging
import signal
import sys
from pathlib import Path
from typing import Any

import kopf
from pythonjsonlogger.json import JsonFormatter
from tailrace_broker.tasks import end

from tailrace_operator.apply.kubernetes import connected
from tailrace_operator.controller import metrics_server
from tailrace_operator.controller.handlers import kopf_settings, register
from tailrace_operator.controller.operator import Operator
from tailrace_operator.controller.settings import OperatorSettings, SettingsError, load_settings
from tailrace_operator.controller.watchdog import WatchEndedError, until_a_watch_ends

log = logging.getLogger("tailrace.operator")

_TAKE_BACK_S = 1.0


async def run(settings: OperatorSettings, stop: asyncio.Event) -> None:
    """Run until `stop` is set; if any part ends before that, all end, and the pod is started anew."""
    async with connected() as api:
        with contextlib.closing(Operator(api, settings)) as operator, contextlib.ExitStack() as leave:
            if settings.metrics_port:
                stop_serving = metrics_server.start(settings.metrics_port, operator.metrics.registry, operator.load_of)
                leave.callback(stop_serving)
            # The broker's pods wait for the credentials that this makes, whatever else is not there yet.
            await _first_of(operator.broker.run(), _serve(operator, settings, stop))


async def _serve(operator: Operator, settings: OperatorSettings, stop: asyncio.Event) -> None:
    registry = kopf.OperatorRegistry()
    register(registry, operator.world, operator.wake)
    await _first_of(operator.lister.first(), _until(stop))
    if stop.is_set():
        return
    log.info("operator.started namespaces=%s", ",".join(settings.watch_namespaces) or "all")
    watching = kopf.operator(
        registry=registry,
        settings=kopf_settings(settings, operator.lister.soon),
        clusterwide=not settings.watch_namespaces,
        namespaces=settings.watch_namespaces,
        liveness_endpoint=f"http://0.0.0.0:{settings.health_port}/healthz" if settings.health_port else None,
        stop_flag=stop,
    )
    await _first_of(watching, *operator.tasks(), until_a_watch_ends(), _until_told(stop))


def _stop_on_signals(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)


async def _until(stop: asyncio.Event) -> None:
    await stop.wait()


async def _until_told(stop: asyncio.Event) -> None:
    """kopf takes the signals for itself when it starts, and ends its watches before we know why: take them back."""
    while not stop.is_set():
        _stop_on_signals(stop)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_TAKE_BACK_S):
                await stop.wait()


async def _first_of(*parts: Any) -> None:
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            if not task.cancelled():  # kopf cancels what it finds running when it is told to stop.
                task.result()
    finally:
        await end(*tasks)


async def _main(settings: OperatorSettings) -> None:
    stop = asyncio.Event()
    _stop_on_signals(stop)
    await run(settings, stop)
    log.info("operator.stopped")


def set_up_logging(level: str, form: str) -> None:
    """One line per event on stderr, as JSON or as text."""
    text = "%(asctime)s %(levelname)s %(name)s %(message)s"
    handler = logging.StreamHandler()
    renamed = {"asctime": "time", "levelname": "level", "name": "logger"}
    handler.setFormatter(JsonFormatter(text, rename_fields=renamed) if form == "json" else logging.Formatter(text))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for noisy in ("kopf", "aiohttp.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="tailrace_operator", description=__doc__)
    parser.add_argument("--settings", type=Path, required=True, help="the operator's settings, a YAML file")
    try:
        settings = load_settings(parser.parse_args().settings)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)
    set_up_logging(settings.log.level, settings.log.format)
    try:
        asyncio.run(_main(settings))
    except WatchEndedError as error:
        log.error("operator.deaf error=%s", error)
        sys.exit(1)
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
