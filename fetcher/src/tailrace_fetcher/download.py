"""One model from its source onto the volume: what is there is kept, what is missing is fetched, then it appears."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ParamSpec, TypeVar

import httpx2
from tailrace_protocol.fetch import FetchSettings

from tailrace_fetcher.failure import FailureCode, FetchError
from tailrace_fetcher.inventory import Inventory, RemoteFile
from tailrace_fetcher.lock import LockLostError, VolumeLock
from tailrace_fetcher.network import new_client
from tailrace_fetcher.patience import Patience
from tailrace_fetcher.progress import Progress
from tailrace_fetcher.retry import RetryPolicy
from tailrace_fetcher.sources import Source, make_source
from tailrace_fetcher.threads import in_thread
from tailrace_fetcher.transfer import Transfer
from tailrace_fetcher.volume import Standing, Volume, volume_errors

log = logging.getLogger("tailrace.fetcher")
P = ParamSpec("P")
T = TypeVar("T")


async def download(settings: FetchSettings, progress: Progress) -> None:
    """Make sure that the target holds the model, whole and verified.

    Raises:
        FetchError: see `FailureCode`.
    """
    # Threads for each file, and some that a slow disk cannot take away from the lock's heartbeat.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(settings.parallel + 4, "fetcher"))
    async with new_client(settings.parallel + 1) as client:
        await Download(settings, progress, client, make_source(settings.source, client)).run()


class Download:
    """The steps of one download."""

    def __init__(self, settings: FetchSettings, progress: Progress, client: httpx2.AsyncClient, source: Source) -> None:
        self._settings = settings
        self._progress = progress
        self._source = source
        self._volume = Volume(Path(settings.target))
        self._policy = RetryPolicy(give_up_s=settings.give_up_s)
        self._transfer = Transfer(client, source, self._volume, progress, self._policy)

    async def run(self) -> None:
        """Look, and where something is missing, lock and fetch."""
        await self._on_volume(self._volume.check_place)
        while not await self._is_there():
            lock = VolumeLock(self._volume.lock_file, self._settings.lock_lease_s)
            try:
                with volume_errors(self._volume.target):
                    await lock.hold(self._locked, self._progress.wait)
            except LockLostError:
                log.warning("fetch.lock_lost target=%s", self._volume.target)

    async def _is_there(self) -> bool:
        """Whether the target is whole already.

        Raises:
            FetchError: `target_occupied` when something else is there.
        """
        standing = await self._on_volume(self._volume.standing, self._source.identity)
        if standing is Standing.OTHER:
            raise _occupied(self._volume, self._source.identity)
        if standing is not Standing.WHOLE:
            return False
        manifest = await self._on_volume(self._volume.manifest)
        files = manifest.files if manifest is not None else []
        self._progress.complete(len(files), sum(file.size for file in files))
        log.info("fetch.complete target=%s files=%d", self._volume.target, len(files))
        return True

    async def _locked(self) -> None:
        if await self._is_there():
            return
        if await self._on_volume(self._volume.standing, self._source.identity) is Standing.DAMAGED:
            log.warning("fetch.damaged target=%s", self._volume.target)
            await self._on_volume(self._volume.take_back)
        await self._fetch(await self._resolved())

    async def _resolved(self) -> Inventory:
        self._progress.state, self._progress.message = "resolving", ""
        inventory = await Patience(self._policy, self._progress.tell).persist(self._source.resolve)
        log.info(
            "fetch.resolved source=%s revision=%s files=%d bytes=%d",
            inventory.source,
            inventory.revision,
            len(inventory.files),
            inventory.size,
        )
        return inventory

    async def _fetch(self, inventory: Inventory) -> None:
        missing = await self._on_volume(self._volume.open, inventory)
        await self._on_volume(self._volume.check_space, missing)
        self._progress.begin(inventory, missing)
        await self._all(missing)
        self._progress.state = "verifying"
        await self._on_volume(self._volume.finish)

    async def _all(self, files: list[RemoteFile]) -> None:
        """All files, the largest first so that none is left alone at the end; the first failure ends it."""
        waiting = deque(sorted(files, key=lambda file: file.size or 0, reverse=True))
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self._settings.parallel, len(files))):
                    group.create_task(self._work_off(waiting))
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None

    async def _work_off(self, waiting: deque[RemoteFile]) -> None:
        while waiting:
            file = waiting.popleft()
            with volume_errors(self._volume.target):
                await self._transfer.fetch(file)

    async def _on_volume(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        with volume_errors(self._volume.target):
            return await in_thread(call, *args, **kwargs)


def _occupied(volume: Volume, identity: str) -> FetchError:
    manifest = volume.manifest()
    what = f"holds {manifest.source}" if manifest is not None else "holds files that no fetcher put there"
    return FetchError(
        FailureCode.TARGET_OCCUPIED,
        f"{volume.target} {what}, not {identity}: nothing was changed; choose another directory or remove this one",
    )
