"""Tailrace gateway: protocols in, events out; a response is a read of the log."""
