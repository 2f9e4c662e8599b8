"""Continuing a file: what is asked, and what the answer means."""

import pytest
from tailrace_fetcher.ranges import Answer, headers_from, judge


def test_a_beginning_is_asked_without_a_range_and_a_rest_with_one():
    assert headers_from(0) == {"accept-encoding": "identity"}
    assert headers_from(5) == {"accept-encoding": "identity", "range": "bytes=5-"}


@pytest.mark.parametrize(
    ("status", "content_range", "answer"),
    [
        (206, "bytes 5-9/10", Answer.REST),
        (206, "bytes 5-9/*", Answer.REST),
        (206, "bytes 4-9/10", Answer.WRONG_RANGE),
        (206, "bytes 6-9/10", Answer.WRONG_RANGE),
        (206, "bytes 5-10/11", Answer.OTHER_SIZE),
        (206, "", Answer.WRONG_RANGE),
        (200, "", Answer.FROM_START),
        (416, "bytes */10", Answer.WRONG_RANGE),
        (416, "", Answer.WRONG_RANGE),
        (416, "bytes */5", Answer.OTHER_SIZE),
        (503, "", Answer.BUSY),
        (429, "", Answer.BUSY),
        (403, "", Answer.REFUSED),
        (304, "", Answer.REFUSED),
    ],
)
def test_an_answer_to_a_request_for_the_rest_is_understood(status, content_range, answer):
    assert judge(status, {"content-range": content_range}, 5, 10) is answer


@pytest.mark.parametrize(
    ("headers", "answer"),
    [
        ({"content-length": "10"}, Answer.FROM_START),
        ({"content-length": "9"}, Answer.OTHER_SIZE),
        ({"content-length": "9", "content-encoding": "gzip"}, Answer.FROM_START),
        ({}, Answer.FROM_START),
    ],
)
def test_a_whole_answer_of_another_size_is_another_file(headers, answer):
    assert judge(200, headers, 0, 10) is answer


def test_an_unknown_size_fits_any_total():
    assert judge(206, {"content-range": "bytes 0-9/10"}, 0, None) is Answer.REST
