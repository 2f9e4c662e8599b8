"""`python -m tailrace_gateway --settings FILE`: run one gateway until SIGTERM."""

import argparse
import logging
import sys
from pathlib import Path

import uvloop
from tailrace_broker import termination_log
from tailrace_broker.settings_file import SettingsError, load_settings
from tailrace_protocol.settings import GatewaySettings
from tailrace_protocol.termination import TerminationCode

from tailrace_gateway.server import ListenError, serve

log = logging.getLogger("tailrace.gateway")


def main() -> None:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(prog="tailrace_gateway", description=__doc__)
    parser.add_argument("--settings", type=Path, required=True, help="the gateway's settings, a JSON file")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        uvloop.run(serve(load_settings(arguments.settings, GatewaySettings)))
    except (SettingsError, ListenError) as error:
        code = TerminationCode.ADDRESS_IN_USE if isinstance(error, ListenError) else TerminationCode.BAD_SETTINGS
        log.error("gateway.cannot_run code=%s reason=%s", code, error)
        termination_log.leave(code, str(error))
        sys.exit(2)


if __name__ == "__main__":
    main()
