"""Where a container that gives up leaves its last words: the file that the kubelet reads them from."""

import logging
import os
from pathlib import Path

from tailrace_protocol.termination import last_words

log = logging.getLogger("tailrace.broker")

#: Names another file, for tests and for pods whose `terminationMessagePath` is not the default.
VARIABLE = "TAILRACE_TERMINATION_LOG"
_DEFAULT = "/dev/termination-log"


def leave(code: str, sentence: str) -> None:
    """Write `code` and `sentence` where the kubelet looks for them.

    Only a file that is there already is written: outside of a pod there is none, and none is made.
    """
    path = Path(os.environ.get(VARIABLE, _DEFAULT))
    try:
        if path.is_file():
            path.write_text(last_words(code, sentence))
    except OSError as error:
        log.warning("termination_log.unwritable path=%s error=%s", path, error.strerror)
