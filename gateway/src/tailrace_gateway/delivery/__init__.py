"""Delivery: a response is a read of the log. `reader` is pure; the protocols differ only at its edge."""
