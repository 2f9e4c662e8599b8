"""One file over HTTP: continued where it broke off, verified, begun anew when it is wrong."""

import logging
from collections.abc import AsyncIterator, Mapping

import httpx2

from tailrace_fetcher.failure import FailureCode, FetchError, TroubleError
from tailrace_fetcher.inventory import RemoteFile
from tailrace_fetcher.network import NETWORK_ERRORS, meaning
from tailrace_fetcher.part import PartFile
from tailrace_fetcher.patience import Patience
from tailrace_fetcher.progress import Progress
from tailrace_fetcher.ranges import Answer, headers_from, judge
from tailrace_fetcher.retry import RetryPolicy, asked_wait
from tailrace_fetcher.sources.source import Source, host_of
from tailrace_fetcher.threads import in_thread
from tailrace_fetcher.volume import Volume

log = logging.getLogger("tailrace.fetcher")

#: What is held of a file in memory, and a little more: what the network gives at a time.
STEP_BYTES = 256 * 1024
#: What an earlier run left is read in such steps, so that a stop need not wait for more.
_RECALL_BYTES = 64 * 1024 * 1024


class Transfer:
    """Fetches files of `source` onto `volume` through `client`."""

    def __init__(
        self, client: httpx2.AsyncClient, source: Source, volume: Volume, progress: Progress, policy: RetryPolicy
    ) -> None:
        self._client = client
        self._source = source
        self._volume = volume
        self._progress = progress
        self._policy = policy

    async def fetch(self, file: RemoteFile) -> None:
        """Bring one file onto the volume, verified.

        Raises:
            FetchError: see `FailureCode`.
            OSError: the volume is full, or broken.
        """
        with self._volume.part(file) as part:
            while await in_thread(part.recall, _RECALL_BYTES):
                self._progress.at(file, part.offset)
            await self._verified(part)
            await in_thread(self._volume.keep, part)
        self._progress.finished(file)
        log.info("fetch.file name=%r bytes=%d sha256=%s", file.name, part.offset, part.sha256)

    async def _verified(self, part: PartFile) -> None:
        """The first wrong content may come from a broken disk or an interrupted run; a fresh one settles it."""
        await self._filled(part)
        if part.agrees():
            return
        wrong = part.sha256
        log.warning("fetch.checksum name=%r bytes=%d begun_anew=true", part.file.name, part.offset)
        await in_thread(part.restart)
        await self._filled(part)
        if not part.agrees() and not _only_doubtful(part, wrong):
            raise _mismatch(part)

    async def _filled(self, part: PartFile) -> None:
        patience = Patience(self._policy, self._progress.tell)
        if part.file.size is None or part.offset < part.file.size or not part.file.size:
            await patience.persist(lambda: self._attempt(part, patience))

    async def _attempt(self, part: PartFile, patience: Patience) -> None:
        request = await self._source.request(part.file)
        host = host_of(request.url)
        headers = {**request.headers, **headers_from(part.offset)}
        try:
            async with self._client.stream("GET", request.url, headers=headers) as response:
                await self._accept(part, response.status_code, response.headers, host)
                await self._take(part, response.aiter_raw(), patience)
        except NETWORK_ERRORS as error:
            raise meaning(error, host, part.file.name) from None
        if not part.whole and not part.overlong:
            raise TroubleError(f"{host} broke off {part.file.name} at byte {part.offset}")

    async def _take(self, part: PartFile, chunks: AsyncIterator[bytes], patience: Patience) -> None:
        """Write what arrives in steps that are worth a thread, and at a broken end what came since the last one."""
        held = bytearray()
        try:
            async for chunk in chunks:
                held += chunk
                if len(held) >= STEP_BYTES:
                    full, held = held, bytearray()  # a stop during the write must not write it again
                    await self._append(part, full, patience)
                if part.overlong:
                    return
        finally:
            if held:
                await self._append(part, held, patience)

    async def _append(self, part: PartFile, held: bytearray, patience: Patience) -> None:
        await in_thread(part.append, held)
        self._progress.at(part.file, part.offset)
        patience.reached(part.offset)

    async def _accept(self, part: PartFile, status: int, headers: Mapping[str, str], host: str) -> None:
        """Make the part ready for what the answer holds, or say why it holds nothing."""
        answer = judge(status, headers, part.offset, part.file.size)
        if answer is Answer.REFUSED:
            raise self._source.refusal(status, headers, part.file.name)
        if answer is Answer.OTHER_SIZE:
            raise _changed(part.file, host, headers)
        if answer in (Answer.FROM_START, Answer.WRONG_RANGE):
            await in_thread(part.restart)
            self._progress.at(part.file, 0)
        if answer in (Answer.BUSY, Answer.WRONG_RANGE):
            raise TroubleError(f"{host} answers {status} for {part.file.name}", asked_wait(headers))


def _only_doubtful(part: PartFile, sha256: str) -> bool:
    """Twice the same bytes, in full length, against an ETag that need not be a checksum: the ETag is not one."""
    accepted = part.file.digest.doubtful and part.whole and part.sha256 == sha256
    if accepted:
        log.warning("fetch.etag_is_no_checksum name=%r sha256=%s", part.file.name, sha256)
    return accepted


def _changed(file: RemoteFile, host: str, headers: Mapping[str, str]) -> FetchError:
    found = headers.get("content-range") or headers.get("content-length", "")
    return FetchError(
        FailureCode.CHECKSUM_MISMATCH,
        f"{file.name} has another size at {host} ({found}) than the source announced ({file.size} bytes): it was "
        "replaced meanwhile, or something on the way answers instead; try again, and check proxies if it stays so",
    )


def _mismatch(part: PartFile) -> FetchError:
    return FetchError(
        FailureCode.CHECKSUM_MISMATCH,
        f"{part.file.name} arrived twice with another content than the source announces ({part.offset} bytes, sha256 "
        f"{part.sha256}; expected {part.file.size} bytes, {part.file.digest}): it may have changed at the source or be "
        "damaged there or on the way; correct the checksum, or try again",
    )
