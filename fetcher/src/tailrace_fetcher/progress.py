"""How far the download is: what is reported over NATS and what is logged come from here."""

from dataclasses import dataclass, field

from tailrace_protocol.fetch import FetchReport, FetchSettings, FetchState

from tailrace_fetcher.failure import FetchError
from tailrace_fetcher.inventory import Inventory, RemoteFile

_STEP_PERCENT = 5
_STEP_S = 10.0


@dataclass
class Progress:
    """Mutable, and owned by the event loop: only it writes."""

    state: FetchState = "resolving"
    files_total: int = 0
    bytes_total: int = 0
    message: str = ""
    code: str = ""
    file: str = ""
    _bytes: dict[str, int] = field(default_factory=dict)
    _done: set[str] = field(default_factory=set)

    def begin(self, inventory: Inventory, missing: list[RemoteFile]) -> None:
        """What there is, and what is still to be fetched."""
        self.state, self.message = "downloading", ""
        self.files_total, self.bytes_total = len(inventory.files), inventory.size
        open_names = {file.name for file in missing}
        self._done = {file.name for file in inventory.files} - open_names
        self._bytes = {file.name: file.size or 0 for file in inventory.files if file.name in self._done}

    def at(self, file: RemoteFile, offset: int) -> None:
        """`offset` bytes of the file are there."""
        self.file = file.name
        self._bytes[file.name] = offset

    def finished(self, file: RemoteFile) -> None:
        """The file is whole and verified."""
        self._done.add(file.name)

    def tell(self, message: str) -> None:
        """What is being waited for; "" when nothing is."""
        self.message = message

    def wait(self) -> None:
        """Another fetcher is at work on the same target."""
        self.state, self.message = "waiting", "waiting for another download of the same model"

    def complete(self, files: int, size: int) -> None:
        """All is there: `files` with `size` bytes in sum."""
        self.state, self.message, self.file = "done", "", ""
        self.files_total, self.bytes_total = files, size
        self._done, self._bytes = {str(number) for number in range(files)}, {"": size}

    def fail(self, error: FetchError) -> None:
        """It is over."""
        self.state, self.code, self.message = "failed", str(error.code), error.sentence

    @property
    def bytes_done(self) -> int:
        """Bytes on the volume, verified or not yet."""
        return sum(self._bytes.values())

    @property
    def percent(self) -> int:
        """Of the bytes, rounded down."""
        return self.bytes_done * 100 // self.bytes_total if self.bytes_total else 0

    def report(self, settings: FetchSettings) -> FetchReport:
        """This progress as a leased message."""
        return FetchReport(
            namespace=settings.namespace,
            model=settings.model,
            state=self.state,
            target=settings.target,
            files_done=len(self._done),
            files_total=self.files_total,
            bytes_done=self.bytes_done,
            bytes_total=self.bytes_total,
            file=self.file,
            code=self.code,
            message=self.message,
        )

    def line(self) -> str:
        """This progress for the log."""
        files, size = f"{len(self._done)}/{self.files_total}", f"{self.bytes_done}/{self.bytes_total}"
        return f"fetch.progress state={self.state} percent={self.percent} files={files} bytes={size}"


@dataclass(frozen=True, slots=True)
class LastLine:
    """When the last line was logged (monotonic seconds), and what it said."""

    at: float
    percent: int
    state: str


def line_is_due(last: LastLine | None, now: float, progress: Progress) -> bool:
    """Whether 5 % more, 10 s, or a change of state call for another line in the log; pure."""
    if last is None or progress.state != last.state or now - last.at >= _STEP_S:
        return True
    return progress.percent >= last.percent + _STEP_PERCENT
