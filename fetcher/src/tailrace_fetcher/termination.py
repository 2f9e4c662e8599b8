"""The container's last words: Kubernetes shows them in the pod's status, and the operator in a condition."""

import logging
import os
from pathlib import Path

log = logging.getLogger("tailrace.fetcher")

#: Kubernetes keeps 4096 bytes.
_MOST_BYTES = 4096


def leave_message(file: Path, code: str, sentence: str) -> None:
    """Write `<code>: <sentence>` to `file`, if it is there: outside of a container nobody reads it."""
    words = f"{code}: {sentence}".encode()[:_MOST_BYTES].decode(errors="ignore")
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
    except OSError:
        return
    with os.fdopen(descriptor, "w") as message:
        message.write(words)
