"""The last words of a container that gives up: a code and a sentence, which the operator turns into a condition.

They are not in the error table: no client of a stream ever sees them. Who reads them is whoever applied the model.
"""

import re
from enum import StrEnum

#: What the kubelet keeps of a container's termination message.
MAX_BYTES = 4096
_FORM = re.compile(r"([a-z][a-z0-9_]*): (.+)", re.DOTALL)


class TerminationCode(StrEnum):
    """Why a container gave up. A reader must expect codes of newer versions."""

    BAD_SETTINGS = "bad_settings"
    ADDRESS_IN_USE = "address_in_use"
    BROKER_UNAVAILABLE = "broker_unavailable"
    MODEL_NOT_FOUND = "model_not_found"
    TOKEN_REFUSED = "token_refused"  # noqa: S105 - a code, not a token
    BAD_ENGINE_ARGUMENT = "bad_engine_argument"
    OUT_OF_MEMORY = "out_of_memory"
    DISK_FULL = "disk_full"
    ENGINE_FAILED = "engine_failed"
    STARTUP_TIMEOUT = "startup_timeout"


def last_words(code: str, sentence: str) -> str:
    """`code` and `sentence` as one line of at most 4,096 bytes."""
    line = f"{code}: {' '.join(sentence.split())}"
    return line.encode()[:MAX_BYTES].decode(errors="ignore")


def read_last_words(text: str) -> tuple[str, str] | None:
    """The code and the sentence in `text`, or `None` when a container left something else."""
    match = _FORM.fullmatch(text.strip())
    return (match[1], match[2]) if match else None
