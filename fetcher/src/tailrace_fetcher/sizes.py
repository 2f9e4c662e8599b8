"""Sizes as a person reads them."""

_UNITS = ("KiB", "MiB", "GiB", "TiB")


def size_text(count: int) -> str:
    """`count` bytes, exact below 1 KiB and with one decimal above; the bytes too, since quotas are set in bytes."""
    if count < 1024:
        return f"{count} bytes"
    value = float(count)
    for unit in _UNITS:
        value /= 1024
        if value < 1024 or unit == _UNITS[-1]:
            return f"{value:.1f} {unit} ({count} bytes)"
    raise AssertionError("the last unit takes everything")
