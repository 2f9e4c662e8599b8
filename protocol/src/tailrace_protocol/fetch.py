"""Fetching a model onto a volume: what the operator tells the fetcher, and what the fetcher reports.

Secrets stay out of both: the settings name the environment variable that holds a token, and the file that holds a
password; reports hold file names and sentences for a person. Times are in seconds and sizes in bytes.
"""

from typing import Literal

import msgspec

from tailrace_protocol.settings import NatsSettings
from tailrace_protocol.wire import decode

FetchState = Literal["resolving", "waiting", "downloading", "verifying", "done", "failed"]


class HubSource(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="hf"):
    """A repository on the Hugging Face hub, or on a mirror of it at `endpoint`; the token is in `token_env`, if any."""

    repo: str
    revision: str = "main"
    token_env: str = "HF_TOKEN"  # noqa: S105 - the variable's name, not its value
    endpoint: str = ""


class S3Source(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="s3"):
    """Objects below `prefix`; credentials come from where AWS's own tools take them (environment, pod identity, …)."""

    bucket: str
    prefix: str = ""
    endpoint: str = ""
    region: str = ""


class HttpFile(msgspec.Struct, frozen=True, omit_defaults=True):
    """One file: where it lies, its SHA-256 in hex, and its name in the model's directory."""

    url: str
    sha256: str
    name: str


class HttpSource(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="http"):
    """Files at URLs; all of them are fetched."""

    files: list[HttpFile]


FetchSource = HubSource | S3Source | HttpSource


class FetchSettings(msgspec.Struct, frozen=True, omit_defaults=True):
    """One download of one model into the directory `target`, which appears only when all of it is verified.

    `give_up_s`: how long the source may give no new byte. `lock_lease_s`: how long a fetcher that is silent keeps
    others from the same target. Without `nats` nothing is reported.
    """

    namespace: str
    model: str
    target: str
    source: FetchSource
    nats: NatsSettings | None = None
    parallel: int = 4
    give_up_s: float = 300.0
    lock_lease_s: float = 20.0
    termination_file: str = "/dev/termination-log"
    v: int = 1


class FetchReport(msgspec.Struct, frozen=True, omit_defaults=True):
    """How far a download is, leased like every report.

    `file` is one that is being worked on. `code` and `message` say why it failed, or what it waits for.
    """

    namespace: str
    model: str
    state: FetchState
    target: str = ""
    files_done: int = 0
    files_total: int = 0
    bytes_done: int = 0
    bytes_total: int = 0
    file: str = ""
    code: str = ""
    message: str = ""
    lease_s: float = 2.0
    v: int = 1


_report = msgspec.json.Decoder(FetchReport)


def decode_fetch_report(data: bytes) -> FetchReport:
    """The fetch report in `data`.

    Raises:
        MalformedMessageError: bytes that are no fetch report.
    """
    return decode(_report, data)
