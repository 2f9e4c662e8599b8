"""The fetcher's settings, with the checks that no type expresses."""

from pathlib import Path

from tailrace_broker import settings_file
from tailrace_broker.settings_file import SettingsError
from tailrace_protocol.errors import TailraceError
from tailrace_protocol.fetch import FetchSettings, HubSource, S3Source
from tailrace_protocol.subjects import ModelKey

_MOST_PARALLEL = 32


def load_settings(path: Path) -> FetchSettings:
    """The settings in `path`.

    Raises:
        SettingsError: the file is missing, not JSON, or holds a wrong value.
    """
    settings = settings_file.load_settings(path, FetchSettings)
    if complaint := wrong(settings):
        raise SettingsError(f"wrong settings in {path}: {complaint}")
    return settings


def wrong(settings: FetchSettings) -> str:
    """What a person must change, naming the field; "" when all is right. Pure."""
    try:
        ModelKey(settings.namespace, settings.model)
    except TailraceError as error:
        return error.message
    return _wrong_target(settings.target) or _wrong_number(settings) or _wrong_source(settings)


def _wrong_target(target: str) -> str:
    parts = Path(target).parts
    if len(parts) < 3 or parts[0] != "/" or ".." in parts:
        return f"target is {target!r}; it must be an absolute path of a directory below the volume's mount point"
    return ""


def _wrong_number(settings: FetchSettings) -> str:
    if not 1 <= settings.parallel <= _MOST_PARALLEL:
        return f"parallel is {settings.parallel}; it must be from 1 to {_MOST_PARALLEL}"
    for name, value, least in (("give_up_s", settings.give_up_s, 1), ("lock_lease_s", settings.lock_lease_s, 1)):
        if not value >= least:
            return f"{name} is {value}; it must be at least {least}"
    return ""


def _wrong_source(settings: FetchSettings) -> str:
    if isinstance(settings.source, HubSource):
        empty = [name for name in ("repo", "revision") if not getattr(settings.source, name)]
    else:
        empty = ["bucket"] if isinstance(settings.source, S3Source) and not settings.source.bucket else []
    return f"source.{empty[0]} is empty; name it" if empty else ""
