"""Which endings an SRE is woken for."""

import pytest
from tailrace_gateway.routes.responses import _outcome
from tailrace_protocol.errors import ErrorCode, TailraceError
from tailrace_protocol.events import Ended


def ended(outcome="finished", error=None):
    return Ended(1, 5, 5, outcome, error=error and TailraceError(error).body())


@pytest.mark.parametrize(
    ("end", "failure", "outcome"),
    [
        (ended(), None, "finished"),
        (ended("cancelled", ErrorCode.CANCELLED), None, "cancelled"),
        (ended("failed", ErrorCode.WORKER_LOST), None, "failed"),
        (ended("failed", ErrorCode.INVALID_REQUEST), None, "refused"),
        (ended("failed", ErrorCode.MODEL_REMOVED), ErrorCode.MODEL_REMOVED, "refused"),
        (None, None, "replayed"),
        (None, ErrorCode.LOG_GAP, "failed"),
        (None, ErrorCode.LOG_CONFLICT, "failed"),
        (None, ErrorCode.BROKER_UNAVAILABLE, "failed"),
        (None, ErrorCode.SHUTTING_DOWN, "moved"),
        (ended(), ErrorCode.LOG_GAP, "failed"),
    ],
)
def test_an_ending_is_counted_as_what_it_was_for_the_client(end, failure, outcome):
    assert _outcome(end, failure and TailraceError(failure)) == outcome
