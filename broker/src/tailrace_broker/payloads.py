"""Payloads above the broker's message limit travel through its object store, so that the limit never shows."""

from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.errors import ObjectNotFoundError
from tailrace_protocol.errors import ErrorCode, TailraceError
from tailrace_protocol.subjects import PAYLOADS_BUCKET

#: Room in a message for what stands around the payload.
_ENVELOPE_BYTES = 16 * 1024


def fits(max_payload: int, size: int) -> bool:
    """Whether `size` bytes of payload may travel inside a message of a broker with this limit."""
    return size + _ENVELOPE_BYTES <= max_payload


async def store(js: JetStreamContext, name: str, data: bytes) -> None:
    """Keep `data` under `name` until the bucket's age limit.

    Raises:
        TailraceError: `broker_unavailable`.
    """
    try:
        bucket = await js.object_store(PAYLOADS_BUCKET)
        await bucket.put(name, data)
    except (NatsError, TimeoutError) as error:
        raise TailraceError(ErrorCode.BROKER_UNAVAILABLE, "the broker did not store a large payload") from error


async def load(js: JetStreamContext, name: str) -> bytes:
    """What was kept under `name`.

    Raises:
        TailraceError: `replay_expired` when it is gone, `broker_unavailable` when the broker does not answer.
    """
    try:
        bucket = await js.object_store(PAYLOADS_BUCKET)
        found = await bucket.get(name)
    except ObjectNotFoundError as error:
        raise TailraceError(ErrorCode.REPLAY_EXPIRED, "the stored payload of this stream is gone") from error
    except (NatsError, TimeoutError) as error:
        raise TailraceError(ErrorCode.BROKER_UNAVAILABLE, "the broker did not return a large payload") from error
    return found.data or b""


async def discard(js: JetStreamContext, name: str) -> None:
    """Forget `name`, if it is still there: the bucket's age limit would do it later."""
    try:
        bucket = await js.object_store(PAYLOADS_BUCKET)
        await bucket.delete(name)
    except (NatsError, TimeoutError):
        return
