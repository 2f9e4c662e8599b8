"""Connections that never give up, with the client library's defaults changed where they would lose streams.

nats-py stops reconnecting after 60 attempts, waits 2 s between them, pings every 2 minutes (so a half-open connection
lives for minutes) and stops buffering at 2 MiB; each of these would break streams that could have lived.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

import nats
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.errors import NoServersError
from tailrace_protocol.errors import ErrorCode, TailraceError
from tailrace_protocol.settings import NatsSettings

log = logging.getLogger("tailrace.broker")

_RECONNECT_WAIT_S = 0.1
_PING_INTERVAL_S = 5
#: How long the first connection may take; later ones are tried for ever.
_FIRST_S = 15.0
_PENDING_BYTES = 64 * 1024 * 1024

Hook = Callable[[], Awaitable[None]]


async def _nothing() -> None:
    return None


async def connect(
    settings: NatsSettings, name: str, *, on_reconnect: Hook = _nothing, on_disconnect: Hook = _nothing
) -> Client:
    """A connection under `name`, which the broker's disconnect advisory will carry.

    Raises:
        TailraceError: `broker_unavailable`, naming the servers, when none answers at start.
    """
    return await _connect(settings, name, settings.user, settings.password_file, on_reconnect, on_disconnect)


async def connect_system(settings: NatsSettings, name: str) -> Client | None:
    """A connection of the user that may only listen to disconnect advisories; `None` where there is no such user."""
    if not settings.system_user:
        return None
    return await _connect(settings, name, settings.system_user, settings.system_password_file, _nothing, _nothing)


async def _connect(
    settings: NatsSettings, name: str, user: str, password_file: str, on_reconnect: Hook, on_disconnect: Hook
) -> Client:
    try:
        # With reconnects without end the library would also make the first connection without end.
        return await asyncio.wait_for(_dial(settings, name, user, password_file, on_reconnect, on_disconnect), _FIRST_S)
    except (NatsError, NoServersError, OSError, TimeoutError) as error:
        servers = ", ".join(settings.servers)
        raise TailraceError(
            ErrorCode.BROKER_UNAVAILABLE,
            f"no NATS server answers at {servers} ({type(error).__name__}): "
            "check that it runs and that nats.servers and the credentials are right",
        ) from error


async def _dial(
    settings: NatsSettings, name: str, user: str, password_file: str, on_reconnect: Hook, on_disconnect: Hook
) -> Client:
    return await nats.connect(
        settings.servers,
        name=name,
        user=user or None,
        password=_password(password_file),
        max_reconnect_attempts=-1,
        reconnect_time_wait=_RECONNECT_WAIT_S,
        ping_interval=_PING_INTERVAL_S,
        max_outstanding_pings=2,
        pending_size=_PENDING_BYTES,
        allow_reconnect=True,
        connect_timeout=5,
        error_cb=_on_error,
        reconnected_cb=on_reconnect,
        disconnected_cb=on_disconnect,
    )


def _password(file: str) -> str | None:
    return Path(file).read_text().strip() if file else None


async def _on_error(error: Exception) -> None:
    log.warning("broker.error error=%s detail=%s", type(error).__name__, error)


async def close(*clients: Client | None) -> None:
    """Flush and close, whatever state each connection is in, within a bound."""
    for client in clients:
        if client is None or client.is_closed:
            continue
        try:
            await asyncio.wait_for(client.flush(1), 2) if client.is_connected else None
        except (NatsError, TimeoutError) as error:
            log.debug("broker.flush_failed error=%s", error)
        await client.close()
