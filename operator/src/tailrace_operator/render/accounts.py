"""The broker's accounts and users, as `nats-server` reads them: the same on a cluster and on one machine.

Gateways and workers may do what their code does and nothing else, listed subject by subject: a new use of the broker is
a new line here, and the integration tests fail when NATS has refused anything. Only the operator makes, changes and
removes streams, consumers of queues, and models; the advisory user, in the system account, sees disconnects alone.

The lists keep parts from mistakes and limit what a stolen password is good for, but they are no wall: NATS does not
check where an answer is to go, so who may ask JetStream anything can have its answer published anywhere in the account.
"""

from collections.abc import Mapping
from typing import Any

from tailrace_protocol.subjects import (
    ALL_FETCH_REPORTS,
    ALL_GATEWAY_REPORTS,
    ALL_MODEL_REPORTS,
    ALL_WAKES,
    ALL_WORKER_REPORTS,
    WORKERS_CONSUMER,
)
from tailrace_protocol.subjects import MODELS_BUCKET as MODELS
from tailrace_protocol.subjects import PAYLOADS_BUCKET as PAYLOADS

_API = "$JS.API"
_INBOX = "_INBOX.>"
_LOGS, _CONTROLS = "tr.log.>", "tr.ctl.>"
#: A stream's name is one token, so a queue and a log cannot be told apart here.
_READ_LOGS = (f"{_API}.DIRECT.GET.*", f"{_API}.STREAM.MSG.GET.*")
#: Of an object store's own: a new version of an object purges the chunks of the old one.
_LARGE_PAYLOADS = (
    f"$O.{PAYLOADS}.>",
    f"{_API}.STREAM.NAMES",
    f"{_API}.STREAM.PURGE.OBJ_{PAYLOADS}",
)


def _followed(stream: str) -> tuple[str, ...]:
    """What it takes to read a stream by a consumer of one's own, with a name or without."""
    create = f"{_API}.CONSUMER.CREATE.{stream}"
    return (f"{_API}.STREAM.INFO.{stream}", create, f"{create}.>", f"{_API}.CONSUMER.INFO.{stream}.*")


_COMMON = (
    _LOGS,
    _CONTROLS,
    "$JS.ACK.>",
    "$JS.FC.>",
    *_READ_LOGS,
    *_LARGE_PAYLOADS,
    *_followed(f"OBJ_{PAYLOADS}"),
)
_GATEWAY = {
    "publish": {
        "allow": [
            "tr.req.>",
            "tr.key.>",
            ALL_GATEWAY_REPORTS,
            ALL_WAKES,
            *_COMMON,
            *_followed(f"KV_{MODELS}"),
            f"{_API}.STREAM.MSG.DELETE.*",  # A request that nobody shall begin.
        ]
    },
    "subscribe": {"allow": [_LOGS, _CONTROLS, ALL_WORKER_REPORTS, ALL_MODEL_REPORTS, _INBOX]},
}
#: Of workers, and of fetchers, which have no user of their own.
_WORKER = {
    "publish": {
        "allow": [
            ALL_WORKER_REPORTS,
            ALL_FETCH_REPORTS,
            *_COMMON,
            f"{_API}.CONSUMER.MSG.NEXT.*.{WORKERS_CONSUMER}",
        ]
    },
    "subscribe": {"allow": [_CONTROLS, ALL_WORKER_REPORTS, "$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED.*", _INBOX]},
}


def nats_accounts(passwords: Mapping[str, str], account: str) -> dict[str, Any]:
    """The part of the configuration about accounts; `passwords` by user: operator, gateway, worker, advisory."""
    advisories = f"$SYS.ACCOUNT.{account}.DISCONNECT"
    listening = {"publish": {"deny": [">"]}, "subscribe": {"allow": [advisories, _INBOX]}}
    ours = [
        _user("operator", passwords),
        _user("gateway", passwords, _GATEWAY),
        _user("worker", passwords, _WORKER),
    ]
    system = [_user("advisory", passwords, listening)]
    return {
        "accounts": {account: {"jetstream": "enabled", "users": ours}, "SYS": {"users": system}},
        "system_account": "SYS",
    }


def _user(name: str, passwords: Mapping[str, str], permissions: dict[str, Any] | None = None) -> dict[str, Any]:
    entry: dict[str, Any] = {"user": name, "password": passwords[name]}
    return entry | ({"permissions": permissions} if permissions else {})
