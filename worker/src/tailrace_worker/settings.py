"""Reading the worker's settings file: every mistake is told with the file, the field and the remedy."""

from pathlib import Path

import msgspec
from tailrace_protocol.settings import WorkerSettings


class SettingsError(Exception):
    """The settings file cannot be used; the message says why and what to do."""


def load_settings(path: Path) -> WorkerSettings:
    """The settings in `path`.

    Raises:
        SettingsError: the file is missing, not JSON, or holds a wrong value.
    """
    try:
        settings = msgspec.json.decode(path.read_bytes(), type=WorkerSettings)
    except OSError as error:
        raise SettingsError(f"cannot read settings {path}: {error.strerror}; pass --settings FILE") from error
    except msgspec.MsgspecError as error:
        raise SettingsError(f"wrong settings in {path}: {error}") from error
    if (settings.vllm is None) == (settings.simulated is None):
        raise SettingsError(f"wrong settings in {path}: set exactly one of 'vllm' and 'simulated'")
    if settings.capacity < 1:
        raise SettingsError(f"wrong settings in {path}: capacity is {settings.capacity}; it must be at least 1")
    return settings
