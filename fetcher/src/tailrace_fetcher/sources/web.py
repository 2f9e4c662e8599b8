"""Files on plain web servers: each URL with the SHA-256 that its content must have."""

import hashlib
import re
from collections.abc import Mapping

import httpx2
from tailrace_protocol.fetch import HttpFile, HttpSource

from tailrace_fetcher.digest import Digest
from tailrace_fetcher.failure import FailureCode, FetchError, TroubleError
from tailrace_fetcher.inventory import Inventory, RemoteFile, check_name
from tailrace_fetcher.network import NETWORK_ERRORS, meaning
from tailrace_fetcher.ranges import whole_size
from tailrace_fetcher.retry import asked_wait, passes
from tailrace_fetcher.sources.source import Request, check_address, host_of

_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


class WebFiles:
    """All files of the settings, asked through `client`."""

    def __init__(self, settings: HttpSource, client: httpx2.AsyncClient) -> None:
        self._files = {file.name: file for file in settings.files}
        self._client = client
        _check(settings)

    @property
    def identity(self) -> str:
        """By content: URLs may hold signatures, and may change for the same files."""
        listed = "".join(f"{file.sha256.lower()} {name}\n" for name, file in sorted(self._files.items()))
        return f"http:{hashlib.sha256(listed.encode()).hexdigest()}"

    async def resolve(self) -> Inventory:
        """All files, with the sizes that their servers tell."""
        files = [
            RemoteFile(name, await self._size(file), Digest("sha256", file.sha256.lower()))
            for name, file in sorted(self._files.items())
        ]
        return Inventory(self.identity, "", tuple(files))

    async def request(self, file: RemoteFile) -> Request:
        """The file's URL as it was given."""
        return Request(self._files[file.name].url)

    def refusal(self, status: int, headers: Mapping[str, str], name: str) -> FetchError:
        """What the server's answer means for whoever wrote the resource."""
        host = host_of(self._files[name].url)
        if status in (401, 403):
            return FetchError(
                FailureCode.TOKEN_REFUSED,
                f"{host} refuses {name} ({status}): check that the URL in spec.model.source.http is complete and "
                "that its signature has not expired",
            )
        if status in (404, 410):
            return FetchError(
                FailureCode.MODEL_NOT_FOUND, f"{host} has no {name} ({status}): check its URL in spec.model.source.http"
            )
        return FetchError(
            FailureCode.BAD_SOURCE, f"{host} answers {status} for {name}: check its URL in spec.model.source.http"
        )

    async def _size(self, file: HttpFile) -> int | None:
        """Asked by a GET of one byte: a URL that is signed for GET refuses HEAD."""
        headers = {"range": "bytes=0-0", "accept-encoding": "identity"}
        try:
            async with self._client.stream("GET", file.url, headers=headers) as response:
                if passes(response.status_code):
                    reason = f"{host_of(file.url)} answers {response.status_code} for {file.name}"
                    raise TroubleError(reason, asked_wait(response.headers))
                if response.status_code not in (200, 206, 416):
                    raise self.refusal(response.status_code, response.headers, file.name)
                return whole_size(response.status_code, response.headers)
        except NETWORK_ERRORS as error:
            raise meaning(error, host_of(file.url), file.name) from None


def _check(settings: HttpSource) -> None:
    if not settings.files:
        raise FetchError(
            FailureCode.BAD_SOURCE, "source.files is empty: list the model's files with url, sha256 and name"
        )
    for number, file in enumerate(settings.files):
        check_address(file.url, f"source.files[{number}].url ({file.name})")
        check_name(file.name)
        if not _SHA256.fullmatch(file.sha256):
            raise FetchError(
                FailureCode.BAD_SOURCE,
                f"source.files[{number}].sha256 ({file.name}) is not 64 hexadecimal digits: use what sha256sum prints",
            )
    names = [file.name for file in settings.files]
    if doubled := sorted({name for name in names if names.count(name) > 1}):
        raise FetchError(
            FailureCode.BAD_SOURCE, f"source.files names {', '.join(doubled)} twice: give each its own name"
        )
