"""The places that models come from, behind one interface."""

import os

import httpx2
from tailrace_protocol.fetch import FetchSource, HttpSource, HubSource

from tailrace_fetcher.sources.source import Source

__all__ = ["Source", "make_source"]


def make_source(settings: FetchSource, client: httpx2.AsyncClient) -> Source:
    """The source that the settings name; a library is imported only where it is used.

    Raises:
        FetchError: `bad_source`.
    """
    if isinstance(settings, HubSource):
        from tailrace_fetcher.sources.hub import HubRepository

        return HubRepository(settings, os.environ.get(settings.token_env, "").strip())
    if isinstance(settings, HttpSource):
        from tailrace_fetcher.sources.web import WebFiles

        return WebFiles(settings, client)
    from tailrace_fetcher.sources.s3 import S3Prefix

    return S3Prefix(settings)
