"""What `helm test` runs, in the operator's image: the operator is healthy, NATS keeps logs, the resources are served.

Prints a line for each check; ends with the number of those that failed.
"""
# ruff: noqa: S310, T201

import asyncio
import json
import os
import ssl
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import nats

TIMEOUT_S = 10
ACCOUNT_FILES = Path("/var/run/secrets/kubernetes.io/serviceaccount")
PASSWORD_FILE = Path("/etc/tailrace-nats/operator")
WANTED = {"streamingmodels", "streaminggateways"}


def operator_is_healthy() -> str:
    """The operator answers its health probe."""
    url = os.environ["OPERATOR_HEALTH"]
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
        return f"{url} says {answer.status}"


def broker_keeps_logs() -> str:
    """NATS lets the operator's user in, and its account has JetStream."""
    servers: list[str] = json.loads(os.environ["NATS_SERVERS"])
    return asyncio.run(jetstream(servers, PASSWORD_FILE.read_text().strip()))


async def jetstream(servers: list[str], password: str) -> str:
    """What JetStream says of the operator's account."""
    async with asyncio.timeout(3 * TIMEOUT_S):
        client = await nats.connect(servers, user="operator", password=password, max_reconnect_attempts=2)
        try:
            account = await client.jetstream().account_info()
            return f"the account has JetStream, with {account.streams} streams"
        finally:
            await client.close()


def resources_are_served() -> str:
    """The API server serves the custom resources."""
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    url = f"https://{f'[{host}]' if ':' in host else host}:{port}/apis/tailrace.dev/v1alpha1"
    token = (ACCOUNT_FILES / "token").read_text()
    trusted = ssl.create_default_context(cafile=str(ACCOUNT_FILES / "ca.crt"))
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=TIMEOUT_S, context=trusted) as answer:
        served = {resource["name"] for resource in json.load(answer)["resources"]}
    if missing := WANTED - served:
        raise RuntimeError(f"tailrace.dev/v1alpha1 lacks {', '.join(sorted(missing))}: upgrade the CRDs")
    return f"tailrace.dev/v1alpha1 serves {', '.join(sorted(WANTED))}"


def passes(check: Callable[[], str]) -> bool:
    """Whether a check holds; its line is printed."""
    try:
        print(f"ok      {check.__name__}: {check()}", flush=True)
    except Exception as error:
        print(f"FAILED  {check.__name__}: {type(error).__name__}: {error}", flush=True)
        return False
    return True


if __name__ == "__main__":
    checks = (operator_is_healthy, broker_keeps_logs, resources_are_served)
    sys.exit([passes(check) for check in checks].count(False))
