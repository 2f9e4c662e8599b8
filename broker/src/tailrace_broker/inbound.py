"""Messages from the broker as ours: what cannot be read is told once, here, and then ignored like an unknown kind."""

import logging
from collections.abc import Callable
from typing import TypeVar

from nats.aio.msg import Msg
from tailrace_protocol.wire import MalformedMessageError

log = logging.getLogger("tailrace.broker")
T = TypeVar("T")


def read(decode: Callable[[bytes], T], message: Msg) -> T | None:
    """What `decode` makes of the message, or `None` where no version of Tailrace would have written it."""
    try:
        return decode(message.data)
    except MalformedMessageError as error:
        log.warning("message.malformed subject=%s error=%s", message.subject, error)
        return None
