"""What can go wrong, in two kinds: a failure that a person must mend, and a trouble that passes.

Both carry a sentence for a person. It names hosts, files and fields, never a whole URL or a header: those may hold a
signature or a token.
"""

from enum import StrEnum


class FailureCode(StrEnum):
    """Stable names of failures: the operator turns them into the reason of a condition."""

    MODEL_NOT_FOUND = "model_not_found"
    REVISION_NOT_FOUND = "revision_not_found"
    TOKEN_REFUSED = "token_refused"  # noqa: S105 - a code
    BAD_SOURCE = "bad_source"
    BAD_SETTINGS = "bad_settings"
    SOURCE_UNREACHABLE = "source_unreachable"
    CHECKSUM_MISMATCH = "checksum_mismatch"
    DISK_FULL = "disk_full"
    TARGET_OCCUPIED = "target_occupied"
    VOLUME_FAILED = "volume_failed"
    INTERNAL = "internal"


class FetchError(Exception):
    """A download that cannot succeed until somebody changes something; the sentence says what."""

    def __init__(self, code: FailureCode, sentence: str) -> None:
        self.code = code
        self.sentence = sentence
        super().__init__(f"{code}: {sentence}")


class TroubleError(Exception):
    """Something that may pass by itself: a lost connection, a busy server.

    `asked_s` is how long the server asks to be left alone, if it does.
    """

    def __init__(self, reason: str, asked_s: float = 0.0) -> None:
        self.reason = reason
        self.asked_s = asked_s
        super().__init__(reason)
