"""Runs programs: one place that captures output and turns a failure into an error with the program's last words."""

import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from .errors import CommandError, UnavailableError

LAST_WORDS_CHARS = 4000


def run(
    argv: Sequence[str | Path],
    *,
    stdin: str | BinaryIO | None = None,
    check: bool = True,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout_s: float = 600,
    nice: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; CommandError when it fails (with `check`) or takes longer than `timeout_s` seconds."""
    command = [*(["nice"] if nice else []), *map(str, argv)]
    try:
        done = subprocess.run(
            command,
            **given(stdin),
            capture_output=True,
            text=True,
            errors="replace",
            env={**os.environ, **(env or {})},
            cwd=cwd,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as expired:
        raise CommandError(f"{shlex.join(command)} took longer than {timeout_s:.0f} s") from expired
    except FileNotFoundError as missing:
        raise UnavailableError(f"there is no program {missing.filename}: {shlex.join(command)} cannot run") from None
    if check and done.returncode:
        words = (done.stderr.strip() or done.stdout.strip())[-LAST_WORDS_CHARS:]
        raise CommandError(f"{shlex.join(command)} ended with status {done.returncode}:\n{words}")
    return done


def given(stdin: str | BinaryIO | None) -> dict[str, Any]:
    """How a program gets its input: a text, an open file, or none."""
    return {"input": stdin} if isinstance(stdin, str) else {"stdin": stdin or subprocess.DEVNULL}


def output(argv: Sequence[str | Path], **options: object) -> str:
    """What a program prints on its standard output."""
    return run(argv, **options).stdout  # type: ignore[arg-type]


def program(name: str, remedy: str) -> str:
    """The path of a program on PATH, or UnavailableError with the remedy."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
    if found is None:
        raise UnavailableError(f"{name} is not on PATH: {remedy}")
    return found
