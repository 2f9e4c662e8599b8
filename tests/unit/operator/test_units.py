"""Durations and quantities: what is accepted, what it is worth, and what is said about the rest."""

from decimal import Decimal

import pytest
from tailrace_operator.resources.duration import Duration
from tailrace_operator.resources.quantity import Quantity, canonical


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0s", 0), ("500ms", 0.5), ("2s", 2), ("1.5s", 1.5), ("10m", 600), ("1h30m", 5400), ("1m500ms", 60.5)],
)
def test_a_duration_is_worth_its_seconds(text, seconds):
    assert Duration(text).seconds == seconds
    assert Duration(text) == text


@pytest.mark.parametrize("text", ["", "5", "s", "-1s", "1 s", "1d", "1s\n", "1e3s", ".5s", "1" * 32 + "s"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ValueError, match="is not a duration: write a number and a unit"):
        Duration(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("8Mi", 8 * 2**20),
        ("2", 2),
        ("1.5Gi", 3 * 2**29),
        ("500m", Decimal("0.5")),
        ("1k", 1000),
        ("1Ti", 2**40),
        ("1Pi", 2**50),
        ("2P", 2 * 10**15),
    ],
)
def test_a_quantity_is_worth_its_number(text, value):
    assert Quantity(text).value == value


@pytest.mark.parametrize("text", ["", "Mi", "8 Mi", "8MB", "-1", "8mi", "1e3", "1" * 33])
def test_what_is_no_quantity_is_refused(text):
    with pytest.raises(ValueError, match="is not a quantity: write a number with a suffix"):
        Quantity(text)


@pytest.mark.parametrize(
    ("given", "printed"),
    [
        ("1024Mi", "1Gi"),
        ("1.5Gi", "1536Mi"),
        ("1536Ki", "1536Ki"),
        ("2048Gi", "2Ti"),
        ("1023Ki", "1023Ki"),
        ("0.5Ki", "512"),
        ("0.5", "500m"),
        ("1000m", "1"),
        ("1500m", "1500m"),
        ("2", "2"),
        ("1000", "1k"),
        ("1000k", "1M"),
        ("1500M", "1500M"),
        ("0.0001", "1m"),
        ("0", "0"),
        ("0Gi", "0"),
    ],
)
def test_an_amount_is_printed_as_the_api_server_prints_it(given, printed):
    assert canonical(Quantity(given)) == printed
    assert canonical(Quantity(printed)) == printed
