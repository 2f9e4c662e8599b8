"""What the HTTP client's errors mean: most pass, a few lead nowhere however often one asks."""

import os
import socket
import ssl
from collections.abc import Iterator

import httpx2

from tailrace_fetcher.failure import FailureCode, FetchError, TroubleError

#: All that the client raises for a request, in one `except`.
NETWORK_ERRORS = (httpx2.RequestError, httpx2.InvalidURL)
_TIMEOUT = httpx2.Timeout(connect=15.0, read=30.0, write=30.0, pool=None)
_DEAD_ENDS = (httpx2.UnsupportedProtocol, httpx2.TooManyRedirects, httpx2.InvalidURL)


def new_client(connections: int) -> httpx2.AsyncClient:
    """A client with so many connections at most.

    Raises:
        FetchError: `source_unreachable`, where no certificate authorities are to be had.
    """
    limits = httpx2.Limits(max_connections=connections)
    try:
        return httpx2.AsyncClient(timeout=_TIMEOUT, limits=limits, follow_redirects=True)
    except OSError as error:  # An SSLError is one.
        where = os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR") or "the image"
        raise FetchError(
            FailureCode.SOURCE_UNREACHABLE,
            f"no certificate authorities can be read from {where} ({error.strerror or type(error).__name__}): set "
            "SSL_CERT_FILE to a file that holds them",
        ) from error


def meaning(error: Exception, host: str, what: str) -> FetchError | TroubleError:
    """The client's `error` on asking `host` for `what`, as ours; its own text is dropped, since it may hold a URL."""
    kind = type(error).__name__
    if isinstance(error, _DEAD_ENDS):
        return FetchError(
            FailureCode.BAD_SOURCE, f"{host} sends {what} nowhere ({kind}): check the address in the source"
        )
    causes = list(_causes(error))
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
        return untrusted(host)
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        return TroubleError(f"the name {host} cannot be resolved")
    return TroubleError(f"{host} does not give {what} ({kind})")


def untrusted(host: str) -> FetchError:
    """No amount of asking makes a certificate trusted."""
    return FetchError(
        FailureCode.SOURCE_UNREACHABLE,
        f"the certificate of {host} is not trusted: if it is signed by a CA of your own, mount its certificate and set "
        "SSL_CERT_FILE to it",
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):
            for inner in error.exceptions:
                yield from _causes(inner)
        error = error.__cause__ or error.__context__
