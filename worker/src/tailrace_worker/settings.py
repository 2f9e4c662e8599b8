"""The worker's settings, with the checks that no type expresses."""

from pathlib import Path

from tailrace_broker import settings_file
from tailrace_broker.settings_file import SettingsError
from tailrace_protocol.settings import WorkerSettings


def load_settings(path: Path) -> WorkerSettings:
    """The settings in `path`.

    Raises:
        SettingsError: the file is missing, not JSON, or holds a wrong value.
    """
    settings = settings_file.load_settings(path, WorkerSettings)
    if (settings.vllm is None) == (settings.simulated is None):
        raise SettingsError(f"wrong settings in {path}: set exactly one of 'vllm' and 'simulated'")
    if settings.capacity < 1:
        raise SettingsError(f"wrong settings in {path}: capacity is {settings.capacity}; it must be at least 1")
    return settings
