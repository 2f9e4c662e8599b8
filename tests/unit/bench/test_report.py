"""The page of the comparison, and how fast decisions are: that they are made, not what they say."""

import pytest

from bench.scaling import plots, report, speed
from bench.scaling.result import Row

USUAL = list(report.USUAL.items())


def row(policy, setting, gpu_hours, wait_p95_s, trace="t"):
    return Row(trace, 15.0, policy, setting, 0.0, wait_p95_s, wait_p95_s, 0, gpu_hours, 1, 0)


@pytest.fixture
def rows():
    usual = [row(policy, setting, 2.0 + number, 5.0 + number) for number, (policy, setting) in enumerate(USUAL)]
    return [*usual, row("tailrace", 0.5, 2.5, 4.0), row("kubeai", 0.3, 2.2, 4.5)]


def test_each_rivals_point_is_counted_once_and_a_standing_one_is_named(rows):
    text = "\n".join(report._sections(rows, []))
    assert "| **all** | 5 | 4 | 0 | 1 |" in text
    assert "| t | 15 | kubeai 0.3 | 2.20 · 4.5 | 2.00 · 5.0 |" in text
    assert "at most 0.29 times the oracle's" in text


def test_a_forecast_is_shown_beside_ours_without_one(rows):
    foreseen = [row("tailrace-forecast", report.USUAL["tailrace"], 3.0, 1.0)]
    text = "\n".join(report._sections(rows, foreseen))
    assert "| t | 15 | 2.00 · 5.0 | 3.00 · 1.0 |" in text
    assert "4 of 5 rivals' points are beaten or equalled without" in text


def test_plots_are_the_same_for_the_same_rows(rows, tmp_path):
    first = [file.read_bytes() for file in plots.draw(rows, tmp_path / "a")]
    again = [file.read_bytes() for file in plots.draw(rows, tmp_path / "b")]
    assert first == again
    assert b"<svg" in first[0]


def test_decisions_are_timed():
    assert speed.measure(4, rounds=1, history_s=20) > 0
