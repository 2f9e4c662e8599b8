"""The error table: every failure has a row that every protocol can use, and a shape that OpenAI's clients read."""

import http

import msgspec
import pytest
from tailrace_protocol.errors import TABLE, ErrorBody, ErrorCode, TailraceError, policy_of
from tailrace_protocol.wire import encode

FAILURES_IN_GRPC = {
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
}

each_code = pytest.mark.parametrize("code", ErrorCode)


def test_every_code_has_a_row_and_every_row_a_code():
    assert list(TABLE) == list(ErrorCode)


@each_code
def test_a_sentence_is_a_sentence(code):
    sentence = TABLE[code].sentence
    assert sentence.endswith(".")
    assert sentence[0].isupper()
    assert 10 <= len(sentence) <= 120


def test_no_two_failures_are_told_in_the_same_words():
    assert len({policy.sentence for policy in TABLE.values()}) == len(TABLE)


@each_code
def test_statuses_are_valid_in_every_protocol(code):
    policy = TABLE[code]
    assert policy.http == 499 or policy.http in list(http.HTTPStatus)
    assert 400 <= policy.http <= 599
    assert policy.websocket in (1009, 1011) or 4000 <= policy.websocket <= 4999
    assert policy.grpc in FAILURES_IN_GRPC


@each_code
def test_a_websocket_close_code_says_the_same_as_the_http_status(code):
    policy = TABLE[code]
    assert policy.websocket in (1009, 1011) or policy.websocket - 4000 == policy.http


@each_code
def test_what_the_client_got_wrong_is_not_to_be_retried(code):
    policy = TABLE[code]
    assert policy.retryable == (policy.http == 429 or policy.http >= 500)
    assert (policy.openai_type == "invalid_request_error") == (400 <= policy.http < 499 and policy.http != 429)


@each_code
def test_a_code_is_a_stable_name(code):
    assert code.value == code.name.lower()


def test_codes_are_only_ever_added():
    assert set(ErrorCode) >= {
        "invalid_request",
        "body_too_large",
        "context_length_exceeded",
        "model_not_found",
        "stream_not_found",
        "replay_expired",
        "idempotency_mismatch",
        "queue_full",
        "queue_timeout",
        "total_timeout",
        "worker_lost",
        "engine_failed",
        "log_gap",
        "log_conflict",
        "cancelled",
        "broker_unavailable",
        "shutting_down",
        "internal",
    }


@each_code
def test_a_failure_as_data_says_what_its_row_says(code):
    policy = TABLE[code]
    assert TailraceError(code).body(7) == ErrorBody(
        code=code.value,
        message=policy.sentence,
        type=policy.openai_type,
        param=None,
        retryable=policy.retryable,
        status=policy.http,
        position=7,
    )


def test_a_body_always_has_every_field_of_openais_error_shape():
    assert msgspec.json.decode(encode(TailraceError(ErrorCode.INTERNAL).body())) == {
        "code": "internal",
        "message": "Unexpected failure in Tailrace.",
        "type": "server_error",
        "param": None,
        "retryable": True,
        "status": 500,
        "position": None,
    }


def test_a_failure_may_say_more_than_its_row():
    error = TailraceError(ErrorCode.INVALID_REQUEST, "`n` must be at least 1", param="n", status=422)
    assert error.body() == ErrorBody(
        "invalid_request", "`n` must be at least 1", "invalid_request_error", "n", retryable=False, status=422
    )
    assert str(error) == "invalid_request: `n` must be at least 1"
    assert not error.retryable


def test_a_failure_without_more_to_say_speaks_its_sentence():
    assert str(TailraceError(ErrorCode.QUEUE_FULL)) == "queue_full: All workers are busy and the queue is full."


@pytest.mark.parametrize("code", ["a_code_of_the_future", "", "INTERNAL"])
def test_a_code_of_a_newer_version_is_treated_as_internal(code):
    assert policy_of(code) is TABLE[ErrorCode.INTERNAL]


@each_code
def test_a_code_from_the_wire_finds_its_row(code):
    assert policy_of(code.value) is TABLE[code]
