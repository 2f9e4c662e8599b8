"""The local broker's configuration: the accounts and users that a cluster has, on one port of the loopback.

Users may do what their part needs. Only the operator makes and removes streams; the advisory user, in the system
account, sees the disconnects of our account and nothing else.
"""

import json
from pathlib import Path

from tailrace_operator.local.credentials import Credentials

ACCOUNT = "TAILRACE"
ADVISORY_SUBJECT = f"$SYS.ACCOUNT.{ACCOUNT}.DISCONNECT"
#: What gateways and workers must not ask of JetStream: the operator alone makes, changes and removes.
OPERATORS_ONLY = ("$JS.API.STREAM.CREATE.>", "$JS.API.STREAM.UPDATE.>", "$JS.API.STREAM.DELETE.>")


def nats_config(port: int, store: Path, credentials: Credentials) -> str:
    """The text of `nats-server`'s configuration file (JSON is a part of its notation)."""

    def user(name: str, permissions: dict[str, object] | None = None) -> dict[str, object]:
        entry: dict[str, object] = {"user": name, "password": credentials.password(name)}
        return entry | ({"permissions": permissions} if permissions else {})

    limited: dict[str, object] = {"publish": {"deny": list(OPERATORS_ONLY)}}
    listening: dict[str, object] = {"publish": {"deny": [">"]}, "subscribe": {"allow": [ADVISORY_SUBJECT, "_INBOX.>"]}}
    ours = {"jetstream": "enabled", "users": [user("operator"), user("gateway", limited), user("worker", limited)]}
    config = {
        "server_name": "tailrace-local",
        "listen": f"127.0.0.1:{port}",
        "jetstream": {"store_dir": str(store), "max_memory_store": 8 * 2**30, "max_file_store": 64 * 2**30},
        "accounts": {ACCOUNT: ours, "SYS": {"users": [user("advisory", listening)]}},
        "system_account": "SYS",
        # A peer that vanished without a word is known after two missed pings.
        "ping_interval": "2s",
        "ping_max": 2,
    }
    return json.dumps(config, indent=2) + "\n"
