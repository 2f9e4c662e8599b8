"""Passwords of the broker's users, made once and kept in files that only their owner reads."""

import os
import secrets
from pathlib import Path

USERS = ("operator", "gateway", "worker", "advisory")


class Credentials:
    """One file per user in `directory`; the file's name is the user's."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._passwords = {user: _read_or_make(directory / user) for user in USERS}

    def file(self, user: str) -> Path:
        """Where the password of `user` lies."""
        return self.directory / user

    def password(self, user: str) -> str:
        """The password of `user`."""
        return self._passwords[user]


def _read_or_make(path: Path) -> str:
    if path.exists() and (password := path.read_text().strip()):
        return password
    password = secrets.token_urlsafe(24)
    write_private(path, password)
    return password


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    draft.replace(path)
