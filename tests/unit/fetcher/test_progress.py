"""What is reported and logged."""

import pytest
from tailrace_fetcher.digest import Digest
from tailrace_fetcher.failure import FailureCode, FetchError
from tailrace_fetcher.inventory import Inventory, RemoteFile
from tailrace_fetcher.progress import LastLine, Progress, line_is_due
from tailrace_protocol.fetch import FetchSettings, HubSource

SETTINGS = FetchSettings(namespace="prod", model="m", target="/models/x", source=HubSource(repo="a/b"))
FILES = tuple(RemoteFile(name, size, Digest("none", "")) for name, size in (("a", 100), ("b", 300)))


@pytest.fixture
def progress():
    progress = Progress()
    progress.begin(Inventory("s", "", FILES), [FILES[1]])
    return progress


def test_what_was_there_already_counts_as_done(progress):
    report = progress.report(SETTINGS)
    assert (report.files_done, report.files_total, report.bytes_done, report.bytes_total) == (1, 2, 100, 400)
    assert (report.namespace, report.model, report.target, report.state) == ("prod", "m", "/models/x", "downloading")


def test_bytes_that_must_be_fetched_again_do_not_count_twice(progress):
    progress.at(FILES[1], 200)
    assert progress.bytes_done == 300
    progress.at(FILES[1], 0)
    progress.at(FILES[1], 300)
    progress.finished(FILES[1])
    assert (progress.bytes_done, progress.percent, progress.report(SETTINGS).files_done) == (400, 100, 2)


def test_a_failure_is_reported_with_code_and_sentence(progress):
    progress.fail(FetchError(FailureCode.DISK_FULL, "too small"))
    report = progress.report(SETTINGS)
    assert (report.state, report.code, report.message) == ("failed", "disk_full", "too small")


def test_a_finished_download_reports_all_of_it(progress):
    progress.complete(7, 12345)
    report = progress.report(SETTINGS)
    assert (report.state, report.files_done, report.files_total, report.bytes_done, report.bytes_total) == (
        "done",
        7,
        7,
        12345,
        12345,
    )


def test_a_line_is_logged_every_five_percent_or_ten_seconds_and_not_more_often(progress):
    last = LastLine(at=0.0, percent=20, state="downloading")
    progress.at(FILES[1], -4)  # 24 %
    assert progress.percent == 24
    assert not line_is_due(last, 9.9, progress)
    assert line_is_due(last, 10.0, progress)
    progress.at(FILES[1], 0)  # 25 %
    assert line_is_due(last, 0.1, progress)


def test_a_change_of_state_is_logged_at_once(progress):
    assert line_is_due(None, 0.0, progress)
    assert line_is_due(LastLine(0.0, 25, "resolving"), 0.1, progress)


def test_an_empty_model_has_no_percentage_to_divide_by():
    assert Progress().percent == 0
