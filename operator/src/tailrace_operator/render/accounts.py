"""The broker's accounts and users, as `nats-server` reads them: the same on a cluster and on one machine.

Users may do what their part needs. Only the operator makes, changes and removes streams; the advisory user, in the
system account, sees the disconnects of our account and nothing else.
"""

from collections.abc import Mapping
from typing import Any

_OPERATORS_ONLY = ("$JS.API.STREAM.CREATE.>", "$JS.API.STREAM.UPDATE.>", "$JS.API.STREAM.DELETE.>")


def nats_accounts(passwords: Mapping[str, str], account: str) -> dict[str, Any]:
    """The part of the configuration about accounts; `passwords` by user: operator, gateway, worker, advisory."""
    limited = {"publish": {"deny": list(_OPERATORS_ONLY)}}
    advisories = f"$SYS.ACCOUNT.{account}.DISCONNECT"
    listening = {"publish": {"deny": [">"]}, "subscribe": {"allow": [advisories, "_INBOX.>"]}}
    ours = [
        _user("operator", passwords),
        _user("gateway", passwords, limited),
        _user("worker", passwords, limited),
    ]
    system = [_user("advisory", passwords, listening)]
    return {
        "accounts": {account: {"jetstream": "enabled", "users": ours}, "SYS": {"users": system}},
        "system_account": "SYS",
    }


def _user(name: str, passwords: Mapping[str, str], permissions: dict[str, Any] | None = None) -> dict[str, Any]:
    entry: dict[str, Any] = {"user": name, "password": passwords[name]}
    return entry | ({"permissions": permissions} if permissions else {})
