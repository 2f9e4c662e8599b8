"""`Idempotency-Key`: which stream a key stands for, decided by the broker in one atomic publish.

The key is a subject in the model's own log stream, so it expires with the log that it points to, and claiming it is
a publish that must be the subject's first: of two gateways with the same key one wins and the other attaches.
"""

import hashlib
from dataclasses import dataclass

import msgspec
from nats.js import JetStreamContext
from nats.js.errors import APIError, NotFoundError
from tailrace_broker.logs import FENCE
from tailrace_protocol import subjects
from tailrace_protocol.errors import ErrorCode, TailraceError
from tailrace_protocol.subjects import ModelKey, StreamId

_WRONG_LAST_SEQUENCE = (10071, 10164)
_TRIES = 5


class _Claim(msgspec.Struct):
    stream: str = ""
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Held:
    """The key stands for `stream`; `sequence` is the broker's, for whoever must replace it."""

    stream: StreamId
    sequence: int


class Keys:
    """The keys of one model and tenant."""

    def __init__(self, js: JetStreamContext, model: ModelKey, tenant: str, key: str, body: bytes) -> None:
        self._js = js
        self._stream = subjects.log_stream(model)
        self._subject = subjects.idempotency(model, tenant, key)
        self._digest = hashlib.sha256(body).hexdigest()
        self._sequence = 0

    async def claim(self, stream: StreamId, replacing: int = 0) -> Held | None:
        """Make the key stand for `stream`; what it stands for already, if another was first.

        Raises:
            TailraceError: `idempotency_mismatch` when the key was used with another body.
        """
        for _ in range(_TRIES):
            if await self._publish(_Claim(str(stream), self._digest), replacing):
                return None
            held, replacing = await self._read()
            if held is not None:
                return held
        raise TailraceError(ErrorCode.BROKER_UNAVAILABLE, "the Idempotency-Key is contended: try again")

    async def give_up(self) -> None:
        """The request was refused: the key stands for nothing again."""
        await self._publish(_Claim(), self._sequence)

    async def _publish(self, claim: _Claim, expected: int) -> bool:
        headers = {FENCE: str(expected)}
        try:
            ack = await self._js.publish(self._subject, msgspec.json.encode(claim), headers=headers)
        except APIError as error:
            if error.err_code in _WRONG_LAST_SEQUENCE:
                return False
            raise
        self._sequence = ack.seq
        return True

    async def _read(self) -> tuple[Held | None, int]:
        try:
            message = await self._js.get_last_msg(self._stream, self._subject)
        except NotFoundError:
            return None, 0
        claim = msgspec.json.decode(message.data or b"{}", type=_Claim)
        sequence = message.seq or 0
        if not claim.stream:
            return None, sequence
        if claim.digest != self._digest:
            raise TailraceError(ErrorCode.IDEMPOTENCY_MISMATCH, param="Idempotency-Key")
        return Held(StreamId.parse(claim.stream), sequence), sequence
