"""The one error table: each failure's code, statuses in every protocol, whether a retry helps, and the sentence.

Every protocol reads this table, so that the same failure looks the same over SSE, WebSocket and gRPC. Nothing that
has a cause is reported as `internal`.
"""

from dataclasses import dataclass
from enum import StrEnum

import msgspec


class ErrorCode(StrEnum):
    """Stable names of failures. Clients may depend on them."""

    INVALID_REQUEST = "invalid_request"
    BODY_TOO_LARGE = "body_too_large"
    CONTEXT_LENGTH_EXCEEDED = "context_length_exceeded"
    MODEL_NOT_FOUND = "model_not_found"
    MODEL_REMOVED = "model_removed"
    STREAM_NOT_FOUND = "stream_not_found"
    REPLAY_EXPIRED = "replay_expired"
    IDEMPOTENCY_MISMATCH = "idempotency_mismatch"
    QUEUE_FULL = "queue_full"
    QUEUE_TIMEOUT = "queue_timeout"
    NO_CAPACITY = "no_capacity"
    TOTAL_TIMEOUT = "total_timeout"
    WORKER_LOST = "worker_lost"
    ENGINE_FAILED = "engine_failed"
    LOG_GAP = "log_gap"
    LOG_CONFLICT = "log_conflict"
    CANCELLED = "cancelled"
    BROKER_UNAVAILABLE = "broker_unavailable"
    SHUTTING_DOWN = "shutting_down"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class ErrorPolicy:
    """How one failure is told in each protocol."""

    http: int
    websocket: int
    grpc: str
    retryable: bool
    openai_type: str
    sentence: str


def _bad(http: int, grpc: str, sentence: str, websocket: int = 4400) -> ErrorPolicy:
    return ErrorPolicy(http, websocket, grpc, False, "invalid_request_error", sentence)


def _retry(http: int, grpc: str, sentence: str, kind: str = "server_error") -> ErrorPolicy:
    return ErrorPolicy(http, 4000 + http, grpc, True, kind, sentence)


TABLE: dict[ErrorCode, ErrorPolicy] = {
    ErrorCode.INVALID_REQUEST: _bad(400, "INVALID_ARGUMENT", "The request cannot be understood."),
    ErrorCode.BODY_TOO_LARGE: _bad(
        413, "INVALID_ARGUMENT", "The request body is larger than this gateway accepts.", 1009
    ),
    ErrorCode.CONTEXT_LENGTH_EXCEEDED: _bad(400, "INVALID_ARGUMENT", "The prompt does not fit the model's context."),
    ErrorCode.MODEL_NOT_FOUND: _bad(404, "NOT_FOUND", "No model of that name is served here.", 4404),
    ErrorCode.MODEL_REMOVED: _bad(410, "ABORTED", "The model was removed while this stream ran.", 4410),
    ErrorCode.STREAM_NOT_FOUND: _bad(404, "NOT_FOUND", "No such stream.", 4404),
    ErrorCode.REPLAY_EXPIRED: _bad(410, "OUT_OF_RANGE", "The stream's replay window is over.", 4410),
    ErrorCode.IDEMPOTENCY_MISMATCH: _bad(
        422, "ALREADY_EXISTS", "This Idempotency-Key was used with another request body.", 4422
    ),
    ErrorCode.QUEUE_FULL: _retry(
        429, "RESOURCE_EXHAUSTED", "All workers are busy and the queue is full.", "rate_limit_error"
    ),
    ErrorCode.QUEUE_TIMEOUT: _retry(503, "UNAVAILABLE", "No worker became free within the queue timeout."),
    ErrorCode.NO_CAPACITY: _retry(503, "UNAVAILABLE", "No worker can be started for this model now."),
    ErrorCode.TOTAL_TIMEOUT: _retry(504, "DEADLINE_EXCEEDED", "The answer was not complete within the total timeout."),
    ErrorCode.WORKER_LOST: _retry(
        503, "UNAVAILABLE", "Every worker that took this request was lost, or wrote nothing in time."
    ),
    ErrorCode.ENGINE_FAILED: _retry(502, "UNAVAILABLE", "The inference engine failed on this request."),
    ErrorCode.LOG_GAP: _retry(502, "DATA_LOSS", "Events of this stream were lost and could not be recovered."),
    ErrorCode.LOG_CONFLICT: _retry(502, "DATA_LOSS", "Two workers wrote this stream; what follows is not trusted."),
    ErrorCode.CANCELLED: ErrorPolicy(499, 4499, "CANCELLED", False, "cancelled", "The stream was cancelled."),
    ErrorCode.BROKER_UNAVAILABLE: _retry(503, "UNAVAILABLE", "The message broker cannot be reached."),
    ErrorCode.SHUTTING_DOWN: _retry(503, "UNAVAILABLE", "This gateway is shutting down; resume on another one."),
    ErrorCode.INTERNAL: ErrorPolicy(500, 1011, "INTERNAL", True, "server_error", "Unexpected failure in Tailrace."),
}


class ErrorBody(msgspec.Struct, frozen=True):
    """A failure as it travels in the log and to the client, in OpenAI's error shape plus what a retry needs.

    Every field is always written: clients look for OpenAI's `type` and `param` even when they say nothing.
    `position` is the last good position of the stream, when some of it was delivered.
    """

    code: str
    message: str
    type: str = "server_error"
    param: str | None = None
    retryable: bool = False
    status: int = 500
    position: int | None = None


class TailraceError(Exception):
    """A failure with a row in the error table. Adapters translate it to their protocol once, at the edge."""

    def __init__(
        self, code: ErrorCode, detail: str = "", *, param: str | None = None, status: int | None = None
    ) -> None:
        self.code = code
        self.policy = TABLE[code]
        self.param = param
        self.status = status or self.policy.http
        self.message = detail or self.policy.sentence
        super().__init__(f"{code}: {self.message}")

    @property
    def retryable(self) -> bool:
        """Whether the same request may succeed later or elsewhere."""
        return self.policy.retryable

    def body(self, position: int | None = None) -> ErrorBody:
        """This failure as data."""
        return ErrorBody(
            code=str(self.code),
            message=self.message,
            type=self.policy.openai_type,
            param=self.param,
            retryable=self.policy.retryable,
            status=self.status,
            position=position,
        )


def policy_of(code: str) -> ErrorPolicy:
    """The table's row for `code`; a code of a newer version is treated as `internal`."""
    try:
        return TABLE[ErrorCode(code)]
    except ValueError:
        return TABLE[ErrorCode.INTERNAL]
