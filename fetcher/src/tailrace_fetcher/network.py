"""What the HTTP client's errors mean: most pass, a few lead nowhere however often one asks."""

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
    return TroubleError(f"{host} does not give {what} ({kind})")
