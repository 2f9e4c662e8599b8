"""The local broker's configuration: the accounts and users that a cluster has, on one port of the loopback."""

import json
from pathlib import Path

from tailrace_operator.local.credentials import USERS, Credentials
from tailrace_operator.render.accounts import nats_accounts

ACCOUNT = "TAILRACE"


def nats_config(port: int, store: Path, credentials: Credentials) -> str:
    """The text of `nats-server`'s configuration file (JSON is a part of its notation)."""
    passwords = {user: credentials.password(user) for user in USERS}
    config = {
        "server_name": "tailrace-local",
        "listen": f"127.0.0.1:{port}",
        "jetstream": {"store_dir": str(store), "max_memory_store": 8 * 2**30, "max_file_store": 64 * 2**30},
        **nats_accounts(passwords, ACCOUNT),
        # A peer that vanished without a word is known after two missed pings.
        "ping_interval": "2s",
        "ping_max": 2,
    }
    return json.dumps(config, indent=2) + "\n"
