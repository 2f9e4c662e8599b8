"""What the HTTP client's errors mean: most pass, a few lead nowhere however often one asks."""

import socket
import ssl
from collections.abc import Iterator

import httpx2

from tailrace_fetcher.failure import FailureCode, FetchError, TroubleError

#: All that the client raises for a request, in one `except`.
NETWORK_ERRORS = (httpx2.RequestError, httpx2.InvalidURL)
_DEAD_ENDS = (httpx2.UnsupportedProtocol, httpx2.TooManyRedirects, httpx2.InvalidURL)


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
