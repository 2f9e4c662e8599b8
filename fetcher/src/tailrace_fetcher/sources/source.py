"""What every source can do. All that differs between the hub, S3 and web servers is behind these calls."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlsplit

from tailrace_fetcher.failure import FailureCode, FetchError
from tailrace_fetcher.inventory import Inventory, RemoteFile


@dataclass(frozen=True, slots=True)
class Request:
    """How to ask for a file, from its first byte. Not to be logged: URL and headers may hold secrets."""

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


class Source(Protocol):
    """Where a model comes from."""

    @property
    def identity(self) -> str:
        """The same for the same model, without secrets: a target of another identity is never touched."""

    async def resolve(self) -> Inventory:
        """The files to fetch.

        Raises:
            TroubleError: the source does not answer now.
            FetchError: it will not give them.
        """

    async def request(self, file: RemoteFile) -> Request:
        """How to ask for the file now: signatures are fresh.

        Raises:
            TroubleError, FetchError: as for `resolve`.
        """

    def refusal(self, status: int, headers: Mapping[str, str], name: str) -> FetchError:
        """Why the source answered a request for the file `name` with an HTTP status that will not change."""


def host_of(url: str) -> str:
    """The host that a URL names: all of it that may be shown."""
    try:
        return urlsplit(url).hostname or "an address without a host"
    except ValueError:
        return "an address that is no URL"


def check_endpoint(url: str, field_name: str) -> str:
    """`url`, if it is an address to which paths can be added, and holds no secret: it is shown and written down.

    Raises:
        FetchError: `bad_source`.
    """
    parts = urlsplit(check_address(url, field_name))
    if parts.username or parts.password or parts.query or parts.fragment:
        raise FetchError(
            FailureCode.BAD_SOURCE,
            f"{field_name} holds a user, a password or a query: write https://host/path, and secrets into a Secret",
        )
    return url.rstrip("/")


def check_address(url: str, field_name: str) -> str:
    """`url`, if it can be asked.

    Raises:
        FetchError: `bad_source`.
    """
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise FetchError(
            FailureCode.BAD_SOURCE, f"{field_name} is not an http or https address: write it as https://host/path"
        )
    return url
