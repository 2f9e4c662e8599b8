"""Why a worker gives up, in the codes of its last words."""

import re

from tailrace_broker.settings_file import SettingsError
from tailrace_protocol.errors import ErrorCode, TailraceError
from tailrace_protocol.termination import TerminationCode

#: How memory tells that it has run out, in the words of CUDA, torch, vLLM and Linux, which kills with signal 9.
_NO_MEMORY = re.compile(
    r"out of memory|memoryerror|no available memory|kv cache memory|kv cache is needed|free memory on device"
    r"|cannot allocate memory|can't allocate memory|': -9\b",
    re.IGNORECASE,
)


class CannotRunError(Exception):
    """The worker cannot go on.

    Attributes:
        code: which of the known reasons it is.
        message: what is wrong and what to do about it.
        param: the setting or argument to change, where there is one.
    """

    def __init__(self, code: TerminationCode, message: str, param: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param


def lacks_memory(reason: str) -> bool:
    """Whether an engine's failure, told in its own words, is one of memory."""
    return _NO_MEMORY.search(reason) is not None


def engine_died(reason: str) -> CannotRunError:
    """The engine died at work, for what it told as `reason`, which may be nothing."""
    if lacks_memory(reason):
        remedy = "lower --max-num-seqs or --max-model-len, or give the worker more memory"
        return CannotRunError(TerminationCode.OUT_OF_MEMORY, f"the engine ran out of memory: {reason}; {remedy}")
    return CannotRunError(TerminationCode.ENGINE_FAILED, f"the engine died: {reason or 'its log says why'}")


def stopped_early(after_s: float, progress: str) -> CannotRunError:
    """It was told to stop `after_s` seconds after its start, at `progress`, and had never served.

    Why, it is not told. The words of one whose pod was deleted go with the pod; the others' are read.
    """
    where = f" ({progress})" if progress else ""
    what = f"told to stop after {after_s:.0f} s, before it could serve{where}"
    return CannotRunError(TerminationCode.STARTUP_TIMEOUT, f"{what}: if the model needs longer, raise startup.deadline")


def last_words_of(error: Exception) -> tuple[TerminationCode, str]:
    """The code and the sentence for whoever applied the model."""
    if isinstance(error, CannotRunError):
        return error.code, error.message
    if isinstance(error, SettingsError):
        return TerminationCode.BAD_SETTINGS, str(error)
    if isinstance(error, TailraceError) and error.code is ErrorCode.BROKER_UNAVAILABLE:
        return TerminationCode.BROKER_UNAVAILABLE, error.message
    return TerminationCode.ENGINE_FAILED, f"unforeseen: {type(error).__name__}: {error}"
