"""The model's directory on the volume, from nothing over `<target>.partial/` to whole.

The target appears by one rename, so whoever sees it may load it. A target that is there is never changed while it is
whole: workers may have it mapped into their memory. A damaged one is taken back and mended.
"""

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from errno import EDQUOT, ENOSPC
from pathlib import Path

from tailrace_fetcher.failure import FailureCode, FetchError
from tailrace_fetcher.inventory import Inventory, RemoteFile
from tailrace_fetcher.manifest import COMPLETE, JOURNAL, Manifest, StoredFile, damage, read_manifest, write_manifest
from tailrace_fetcher.part import PartFile, part_name
from tailrace_fetcher.sizes import size_text

_PARTS = ".tailrace-parts"


class Standing(Enum):
    """What lies at the target."""

    NOTHING = "nothing"
    WHOLE = "whole"
    DAMAGED = "damaged"
    OTHER = "other"


class Volume:
    """One target and what belongs to it. Blocking; file system errors come out as `OSError` (see `volume_errors`)."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.partial = target.with_name(f"{target.name}.partial")
        self.lock_file = target.with_name(f"{target.name}.lock")
        self._manifest = Manifest("", "")
        self._journal = threading.Lock()

    def check_place(self) -> None:
        """Make sure that the target can appear by a rename.

        Raises:
            FetchError: `bad_settings` when it is where a volume is mounted.
        """
        if self.target.is_mount():
            raise FetchError(
                FailureCode.BAD_SETTINGS,
                f"target {self.target} is the mount point of a volume: name a directory below it",
            )

    def standing(self, source: str) -> Standing:
        """What lies at the target, as seen by a fetcher of `source`."""
        manifest = read_manifest(self.target / COMPLETE)
        if manifest is None:
            return Standing.OTHER if _has_content(self.target) else Standing.NOTHING
        if manifest.source != source:
            return Standing.OTHER
        return Standing.DAMAGED if damage(manifest, self.target) else Standing.WHOLE

    def manifest(self) -> Manifest | None:
        """What the target's manifest says."""
        return read_manifest(self.target / COMPLETE)

    def take_back(self) -> None:
        """Make a damaged target a partial download again, which holds what is left of it."""
        manifest = read_manifest(self.target / COMPLETE)
        shutil.rmtree(self.partial, ignore_errors=True)
        self.target.rename(self.partial)
        if manifest is not None:
            write_manifest(self.partial / JOURNAL, _without(manifest, damage(manifest, self.partial)))
        (self.partial / COMPLETE).unlink(missing_ok=True)

    def open(self, inventory: Inventory) -> list[RemoteFile]:
        """Begin or continue the download of `inventory`; the files that are still to be fetched."""
        self.partial.mkdir(parents=True, exist_ok=True)
        kept = self._kept(inventory)
        self._manifest = Manifest(inventory.source, inventory.revision, list(kept.values()))
        self._drop_old_parts(inventory)
        return [file for file in inventory.files if file.name not in kept]

    def _kept(self, inventory: Inventory) -> dict[str, StoredFile]:
        # A crash between the last two steps leaves no journal, but the manifest that it became.
        journal = read_manifest(self.partial / JOURNAL) or read_manifest(self.partial / COMPLETE) or Manifest("", "")
        broken = damage(journal, self.partial)
        stored = {file.name: file for file in journal.files if file.name not in broken}
        wanted = [file for file in inventory.files if file.name in stored]
        return {file.name: stored[file.name] for file in wanted if stored[file.name].is_for(file)}

    def _drop_old_parts(self, inventory: Inventory) -> None:
        """Parts of files that changed at the source meanwhile would only take room."""
        wanted = {part_name(file) for file in inventory.files}
        for path in (self.partial / _PARTS).glob("*"):
            if path.name not in wanted:
                path.unlink(missing_ok=True)

    def bytes_present(self, file: RemoteFile) -> int:
        """How much of an unfinished file is there."""
        try:
            return self._part_path(file).stat().st_size
        except FileNotFoundError:
            return 0

    def check_space(self, files: list[RemoteFile]) -> None:
        """Make sure that what is missing of `files` fits.

        Raises:
            FetchError: `disk_full`, with the needed and the free bytes.
        """
        needed = sum(max(0, (file.size or 0) - self.bytes_present(file)) for file in files)
        if needed > (free := self._free_bytes()):
            raise _disk_full(self.target, f"it still needs {size_text(needed)}, and {size_text(free)} are free")

    def _free_bytes(self) -> int:
        found = os.statvfs(self.partial)
        return found.f_bavail * found.f_frsize

    def _part_path(self, file: RemoteFile) -> Path:
        return self.partial / _PARTS / part_name(file)

    def part(self, file: RemoteFile) -> PartFile:
        """The file's part, to be entered as a context."""
        return PartFile(self._part_path(file), file)

    def keep(self, part: PartFile) -> None:
        """Take a verified part over as a file of the model. Several threads may do so at the same time."""
        file = part.file
        part.keep_as(self.partial / file.name)
        stored = StoredFile(file.name, part.offset, part.sha256, str(file.digest))
        with self._journal:
            self._manifest = _with(self._manifest, stored)
            write_manifest(self.partial / JOURNAL, self._manifest)

    def finish(self) -> None:
        """Let the target appear.

        Raises:
            FetchError: `checksum_mismatch` when a file is not as it was written.
        """
        if broken := damage(self._manifest, self.partial):
            raise FetchError(
                FailureCode.CHECKSUM_MISMATCH, f"{', '.join(sorted(broken))} changed on the volume while others came"
            )
        ordered = sorted(self._manifest.files, key=lambda file: file.name)
        write_manifest(self.partial / COMPLETE, Manifest(self._manifest.source, self._manifest.revision, ordered))
        _remove_all_but({file.name for file in ordered} | {COMPLETE}, self.partial)
        self.partial.rename(self.target)
        _sync(self.target.parent)


def _without(manifest: Manifest, names: set[str]) -> Manifest:
    return Manifest(manifest.source, manifest.revision, [file for file in manifest.files if file.name not in names])


def _with(manifest: Manifest, stored: StoredFile) -> Manifest:
    others = _without(manifest, {stored.name}).files
    return Manifest(manifest.source, manifest.revision, [*others, stored])


def _has_content(directory: Path) -> bool:
    if not directory.is_dir():
        return directory.exists()
    return any(directory.iterdir())


def _remove_all_but(names: set[str], directory: Path) -> None:
    """What other revisions and the download itself left behind is not part of the model."""
    for path in sorted(directory.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                path.rmdir()
        elif str(path.relative_to(directory)) not in names:
            path.unlink()


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def volume_errors(target: Path) -> Iterator[None]:
    """File system errors as failures that name the remedy."""
    try:
        yield
    except OSError as error:
        if error.errno in (ENOSPC, EDQUOT):
            raise _disk_full(target, "writing failed") from error
        raise FetchError(
            FailureCode.VOLUME_FAILED,
            f"the volume of {target} cannot be used ({error.strerror or type(error).__name__}): check that the claim "
            "is mounted, healthy, and writable for the fetcher's user (fsGroup)",
        ) from error


def _disk_full(target: Path, what: str) -> FetchError:
    return FetchError(
        FailureCode.DISK_FULL,
        f"the volume of {target} is too small: {what}: enlarge spec.model.cache.size or remove what is not needed",
    )
