"""Reading a settings file: every mistake is told with the file, the field and the remedy."""

from pathlib import Path
from typing import TypeVar

import msgspec

T = TypeVar("T")


class SettingsError(Exception):
    """The settings file cannot be used; the message says why and what to do."""


def load_settings(path: Path, kind: type[T]) -> T:
    """The settings of type `kind` in the JSON file `path`.

    Raises:
        SettingsError: the file is missing, not JSON, or holds a wrong value.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except OSError as error:
        raise SettingsError(f"cannot read settings {path}: {error.strerror}; pass --settings FILE") from error
    except msgspec.MsgspecError as error:
        raise SettingsError(f"wrong settings in {path}: {error}") from error
