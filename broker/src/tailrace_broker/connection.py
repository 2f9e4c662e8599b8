"""Connections that never give up, with the client library's defaults changed where they would lose streams.

nats-py stops reconnecting after 60 attempts, waits 2 s between them, pings every 2 minutes (so a half-open connection
lives for minutes) and stops buffering at 2 MiB; each of these would break streams that could have lived.
"""

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from nats.aio.client import Client
from nats.errors import Error as NatsError
from tailrace_protocol.errors import ErrorCode, TailraceError
from tailrace_protocol.settings import NatsSettings

log = logging.getLogger("tailrace.broker")

_RECONNECT_WAIT_S = 0.1
_PING_INTERVAL_S = 5
#: How long the first connection may take, unless told otherwise; later ones are tried for ever.
_FIRST_S = 15.0
#: Pauses between first tries grow by this factor up to this many seconds: nobody waits for an answer yet.
_PATIENCE, _LONGEST_PAUSE_S = 1.5, 2.0
_TELL_AGAIN_S = 60.0
_PENDING_BYTES = 64 * 1024 * 1024

Hook = Callable[[], Awaitable[None]]


async def _nothing() -> None:
    return None


async def connect(
    settings: NatsSettings,
    name: str,
    *,
    on_reconnect: Hook = _nothing,
    on_disconnect: Hook = _nothing,
    within_s: float = _FIRST_S,
) -> Client:
    """A connection under `name`, which the broker's disconnect advisory will carry.

    `within_s` bounds the first connection alone; `math.inf` waits for the broker without end.

    Raises:
        TailraceError: `broker_unavailable`, naming the servers, the reason and the remedy.
    """
    user = (settings.user, settings.password_file)
    return await _Dialing(settings, name, user).run(on_reconnect, on_disconnect, within_s)


async def connect_system(settings: NatsSettings, name: str, *, within_s: float = _FIRST_S) -> Client | None:
    """A connection of the user that may only listen to disconnect advisories; `None` where there is no such user."""
    if not settings.system_user:
        return None
    user = (settings.system_user, settings.system_password_file)
    return await _Dialing(settings, name, user).run(_nothing, _nothing, within_s)


class _Dialing:
    """The first connection: tried again with growing pauses, each new reason told once.

    `user` is a name and the file that holds its password, which is read again for every try: it may be renewed.
    """

    def __init__(self, settings: NatsSettings, name: str, user: tuple[str, str]) -> None:
        self._settings = settings
        self._name = name
        self._user, self._password_file = user
        self._client = Client()
        self._reason = ""
        self._made = False
        self._told, self._told_at = "", 0.0

    async def run(self, on_reconnect: Hook, on_disconnect: Hook, within_s: float) -> Client:
        """The connection, made within `within_s`.

        Raises:
            TailraceError: `broker_unavailable`.
        """
        limit = None if math.isinf(within_s) else within_s
        password = _password(self._password_file)
        try:
            # With reconnects without end the library makes the first connection without end, too.
            async with asyncio.timeout(limit):
                await self._connect(password, on_reconnect, on_disconnect)
        except (NatsError, OSError, TimeoutError) as error:
            self._reason = self._reason or str(error) or type(error).__name__
            raise TailraceError(ErrorCode.BROKER_UNAVAILABLE, self._explanation()) from error
        finally:
            self._made = self._client.is_connected
            if not self._made:
                await self._client.close()
        self._client.options["reconnect_time_wait"] = _RECONNECT_WAIT_S
        return self._client

    async def _connect(self, password: str | None, on_reconnect: Hook, on_disconnect: Hook) -> None:
        await self._client.connect(
            self._settings.servers,
            name=self._name,
            user=self._user or None,
            password=password,
            max_reconnect_attempts=-1,
            reconnect_time_wait=_RECONNECT_WAIT_S,  # type: ignore[arg-type]  # fractions work
            ping_interval=_PING_INTERVAL_S,
            max_outstanding_pings=2,
            pending_size=_PENDING_BYTES,
            allow_reconnect=True,
            connect_timeout=5,
            error_cb=self._on_error,
            reconnected_cb=on_reconnect,
            disconnected_cb=on_disconnect,
        )

    async def _on_error(self, error: Exception) -> None:
        if self._made:
            self._tell(f"error={type(error).__name__} detail={error}")
        else:
            self._be_patient(error)
        if not self._client.is_connected:
            with contextlib.suppress(TailraceError):
                self._client.options["password"] = _password(self._password_file)

    def _tell(self, trouble: str) -> None:
        """Lost connections are tried ten times a second: the same trouble is told once a minute."""
        now = time.monotonic()
        if trouble != self._told or now - self._told_at > _TELL_AGAIN_S:
            self._told, self._told_at = trouble, now
            log.warning("broker.error %s", trouble)

    def _be_patient(self, error: Exception) -> None:
        options = self._client.options
        options["reconnect_time_wait"] = min(options["reconnect_time_wait"] * _PATIENCE, _LONGEST_PAUSE_S)
        # A server that refuses hangs up at once, sometimes before its reason was read: that is no other trouble.
        hung_up = self._is_refused() and isinstance(error, ConnectionResetError)
        reason = str(error) or type(error).__name__
        if reason != self._reason and not hung_up:
            self._reason = reason
            log.warning("broker.waiting reason=%s", self._explanation())

    def _is_refused(self) -> bool:
        return "authorization" in self._reason.lower()

    def _explanation(self) -> str:
        servers = ", ".join(self._settings.servers)
        if self._is_refused():
            return (
                f"the NATS server at {servers} refuses the user {self._user!r}: "
                "check that its password is the one that the server knows"
            )
        return (
            f"no NATS server answers at {servers} ({self._reason or 'no reason known'}): "
            "check that it runs and that nats.servers is right"
        )


def _password(file: str) -> str | None:
    try:
        return Path(file).read_text().strip() if file else None
    except OSError as error:
        detail = f"the broker's password cannot be read from {file} ({error.strerror}): provide that file"
        raise TailraceError(ErrorCode.BROKER_UNAVAILABLE, detail) from error


async def close(*clients: Client | None) -> None:
    """Flush and close, whatever state each connection is in, within a bound."""
    for client in clients:
        if client is None or client.is_closed:
            continue
        try:
            async with asyncio.timeout(2):
                await client.flush(1) if client.is_connected else None
        except (NatsError, TimeoutError) as error:
            log.debug("broker.flush_failed error=%s", error)
        await client.close()
