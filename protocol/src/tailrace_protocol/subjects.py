"""Names on the broker: subjects, JetStream streams and buckets, and the stream id that makes them computable.

A stream id *is* the tail of its log's subject (`<namespace>.<model>.<origin>.<token>`), so any gateway that is
given an id knows where the log lies without asking anyone. Every part is checked against a strict pattern before
it becomes a subject: a wildcard in an id would otherwise read other people's conversations.
"""

import base64
import hashlib
import re
import secrets
from dataclasses import dataclass

from tailrace_protocol.errors import ErrorCode, TailraceError

_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
_ORIGIN = re.compile(r"[a-z0-9]{4,16}")
_TOKEN = re.compile(r"[a-z2-7]{33}")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")
_BASE32 = "abcdefghijklmnopqrstuvwxyz234567"
_STREAM_OF_MODEL = re.compile(rf"tr_(?:req|log)_({_LABEL.pattern})_({_LABEL.pattern})")
_STREAM_ID = (_LABEL, _LABEL, _ORIGIN, _TOKEN)
_NO_STREAM_ID = "that is not a stream id: use the value of the Tailrace-Stream-Id header as it was sent"

#: The durable consumer that all workers of a model pull from.
WORKERS_CONSUMER = "workers"
#: Key-value bucket with one `ModelSettings` per served model.
MODELS_BUCKET = "tailrace_models"
#: Object store for requests and results above the broker's payload limit.
PAYLOADS_BUCKET = "tailrace_payloads"
#: The lane that every worker of a model pulls from.
ANY_LANE = "any"
#: In place of a lane or a worker, in a subscription: all of them.
EVERY = "*"
#: What the NATS client names of workers begin with.
WORKER_CLIENT_PREFIX = "tailrace-worker-"
ALL_WORKER_REPORTS = "tr.hb.worker.>"
ALL_GATEWAY_REPORTS = "tr.hb.gateway.>"
ALL_FETCH_REPORTS = "tr.hb.fetch.>"
ALL_MODEL_REPORTS = "tr.hb.model.>"
ALL_WAKES = "tr.wake.>"


@dataclass(frozen=True, slots=True)
class ModelKey:
    """A model by its namespace and name, both DNS labels (lower case, at most 63 characters)."""

    namespace: str
    name: str

    def __post_init__(self) -> None:
        for field, value in (("namespace", self.namespace), ("name", self.name)):
            if not _LABEL.fullmatch(value):
                raise TailraceError(
                    ErrorCode.INVALID_REQUEST,
                    f"model {field} {value!r} is not a DNS label: use at most 63 of a-z, 0-9 and '-'",
                )

    def __str__(self) -> str:
        return f"{self.namespace}.{self.name}"


@dataclass(frozen=True, slots=True)
class StreamId:
    """The public name of a stream.

    Its token holds 130 random bits, since knowing the id gives access to the log, and then the time of acceptance,
    so that an id whose log is gone can be told from one that never was.
    """

    namespace: str
    model: str
    origin: str
    token: str

    def __post_init__(self) -> None:
        parts = (self.namespace, self.model, self.origin, self.token)
        if not all(p.fullmatch(part) for p, part in zip(_STREAM_ID, parts, strict=True)):
            raise TailraceError(ErrorCode.STREAM_NOT_FOUND, _NO_STREAM_ID, param="stream_id")

    @classmethod
    def new(cls, model: ModelKey, origin: str, created: int) -> "StreamId":
        """A fresh id for a stream that the gateway `origin` accepts at `created` (Unix seconds)."""
        return cls(model.namespace, model.name, origin, random_token(26) + _encode_time(created))

    @classmethod
    def parse(cls, text: str) -> "StreamId":
        """The id that `text` spells.

        Raises:
            TailraceError: `stream_not_found`, since a malformed id names no stream.
        """
        parts = text.split(".")
        if len(parts) != len(_STREAM_ID):
            raise TailraceError(ErrorCode.STREAM_NOT_FOUND, _NO_STREAM_ID, param="stream_id")
        return cls(*parts)

    @property
    def created(self) -> int:
        """When the stream was accepted, in Unix seconds."""
        seconds = 0
        for digit in self.token[-7:]:
            seconds = seconds * 32 + _BASE32.index(digit)
        return seconds

    @property
    def key(self) -> ModelKey:
        """The model whose log holds this stream."""
        return ModelKey(self.namespace, self.model)

    def __str__(self) -> str:
        return f"{self.namespace}.{self.model}.{self.origin}.{self.token}"


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError(f"{text!r} cannot be part of a subject: use 1 to 128 of A-Z, a-z, 0-9, '-' and '_'")
    return text


def _encode_time(seconds: int) -> str:
    return "".join(_BASE32[(seconds >> shift) & 31] for shift in range(30, -1, -5))


def random_token(length: int) -> str:
    """`length` random base32 characters (5 bits each), fit for a subject token."""
    random = secrets.token_bytes((length * 5 + 7) // 8)
    return base64.b32encode(random).decode().lower()[:length]


def requests(model: ModelKey, lane: str = ANY_LANE) -> str:
    """Where requests for `model` are queued (`EVERY`: on all lanes)."""
    return f"tr.req.{model}.{lane if lane == EVERY else _name(lane)}"


def log(stream: StreamId) -> str:
    """The one subject that holds the stream's events."""
    return f"tr.log.{stream}"


def logs_of_model(model: ModelKey) -> str:
    """All logs of a model: what its JetStream log stream captures."""
    return f"tr.log.{model}.>"


def logs_of_origin(origin: str) -> str:
    """All logs of the streams that one gateway accepted: its single subscription."""
    return f"tr.log.*.*.{_name(origin)}.*"


def control(stream: StreamId) -> str:
    """Where a stream is cancelled, attached to, or told of a newer attempt."""
    return f"tr.ctl.{stream}"


def worker_control(model: ModelKey, worker: str) -> str:
    """Where the operator speaks to one worker. A stream's control has one token more, so they cannot be confused."""
    return f"tr.ctl.{model}.{_name(worker)}"


def controls_of_model(model: ModelKey) -> str:
    """All control messages of a model: what its workers listen to."""
    return f"tr.ctl.{model}.>"


def controls_of_origin(origin: str) -> str:
    """All control messages of one gateway's streams."""
    return f"tr.ctl.*.*.{_name(origin)}.*"


def worker_report(model: ModelKey, worker: str) -> str:
    """Where a worker's leased report is sent (`EVERY`: those of all workers of the model)."""
    return f"tr.hb.worker.{model}.{worker if worker == EVERY else _name(worker)}"


def gateway_report(gateway: str) -> str:
    """Where a gateway's leased report is sent."""
    return f"tr.hb.gateway.{_name(gateway)}"


def fetch_report(model: ModelKey) -> str:
    """Where the leased report of a model's download is sent."""
    return f"tr.hb.fetch.{model}"


def model_report(model: ModelKey) -> str:
    """Where the operator tells those who wait for a model how far it is."""
    return f"tr.hb.model.{model}"


def wake(model: ModelKey) -> str:
    """Demand for a model that has no worker."""
    return f"tr.wake.{model}"


def idempotency(model: ModelKey, tenant: str, key: str) -> str:
    """The subject that holds which stream an `Idempotency-Key` stands for, in the model's own log stream.

    The key is hashed: it may hold any character, and it may be a secret of the client.
    """
    both = f"{len(tenant)}:{tenant}{key}".encode(errors="surrogatepass")
    digest = hashlib.sha256(both).hexdigest()[:40]
    return f"tr.key.{model}.{digest}"


def idempotency_of_model(model: ModelKey) -> str:
    """All idempotency keys of a model."""
    return f"tr.key.{model}.>"


def queue_stream(model: ModelKey) -> str:
    """The JetStream work-queue stream of a model ('_' cannot occur in a DNS label, so names never collide)."""
    return f"tr_req_{model.namespace}_{model.name}"


def log_stream(model: ModelKey) -> str:
    """The JetStream stream that captures a model's logs."""
    return f"tr_log_{model.namespace}_{model.name}"


def model_of(stream: str) -> ModelKey | None:
    """The model whose queue or log a JetStream stream is, by its name; `None` of any other."""
    found = _STREAM_OF_MODEL.fullmatch(stream)
    return ModelKey(*found.groups()) if found else None


def worker_client_name(worker: str) -> str:
    """The NATS client name of a worker: the broker's disconnect advisory carries it."""
    return f"{WORKER_CLIENT_PREFIX}{_name(worker)}"
