"""Tailrace worker: a request comes in from the queue at one end, log events go out at the other."""
