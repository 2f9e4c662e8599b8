"""`python -m tailrace_fetcher --settings FILE`: put a model onto a volume, then exit.

Exit codes: 0 the target is whole; 1 it cannot be had, and the termination message says why; 2 wrong settings;
143 stopped by SIGTERM, and what was fetched is kept for the next run.
"""

import argparse
import asyncio
import logging
import os
import signal
import sys
import traceback
from pathlib import Path

from tailrace_broker.settings_file import SettingsError
from tailrace_protocol.fetch import FetchSettings

from tailrace_fetcher.download import download
from tailrace_fetcher.failure import FailureCode, FetchError
from tailrace_fetcher.progress import Progress
from tailrace_fetcher.reporter import Reporter
from tailrace_fetcher.settings import load_settings
from tailrace_fetcher.termination import leave_message

log = logging.getLogger("tailrace.fetcher")

_STOPPED = 128 + signal.SIGTERM
#: Their lines hold whole URLs, and with them signatures.
_TALKATIVE = ("httpx2", "httpcore2", "botocore", "urllib3", "huggingface_hub")
_DEFAULT_TERMINATION_FILE = Path("/dev/termination-log")


async def _run(settings: FetchSettings) -> FetchError | None:
    """Why it failed, or `None`."""
    progress = Progress()
    async with Reporter(settings, progress):
        try:
            await download(settings, progress)
        except FetchError as error:
            progress.fail(error)
            return error
        except Exception as error:
            unexpected = FetchError(FailureCode.INTERNAL, f"unexpected {type(error).__name__}: see the fetcher's log")
            # Without the message: a library may have put a signed URL into it.
            log.error("fetch.unexpected error=%s at=%s", type(error).__name__, traceback.format_tb(error.__traceback__))
            progress.fail(unexpected)
            return unexpected
    return None


async def _until_stopped(settings: FetchSettings) -> FetchError | None:
    running = asyncio.ensure_future(_run(settings))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, running.cancel)
    try:
        return await running
    except asyncio.CancelledError:
        log.info("fetch.stopped target=%s what_was_fetched=kept", settings.target)
        logging.shutdown()
        os._exit(_STOPPED)  # a blocking call of a library must not hold up the exit; the volume is in order


def _log_to_stdout() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stdout)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _give_up(file: Path, error: FetchError, status: int) -> None:
    log.error("fetch.failed code=%s reason=%s", error.code, error.sentence)
    leave_message(file, str(error.code), error.sentence)
    sys.exit(status)


def main() -> None:
    """Parse the command line and fetch."""
    parser = argparse.ArgumentParser(prog="tailrace_fetcher", description=__doc__)
    parser.add_argument("--settings", type=Path, required=True, help="the download's settings, a JSON file")
    arguments = parser.parse_args()
    _log_to_stdout()
    try:
        settings = load_settings(arguments.settings)
    except SettingsError as error:
        _give_up(_DEFAULT_TERMINATION_FILE, FetchError(FailureCode.BAD_SETTINGS, str(error)), 2)
        return
    if failure := asyncio.run(_until_stopped(settings)):
        _give_up(Path(settings.termination_file), failure, 1)


if __name__ == "__main__":
    main()
