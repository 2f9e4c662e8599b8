"""Tailrace's wire contract: what operator, gateway and worker say to each other over NATS.

One noun a file. Nothing here does I/O, and nothing here imports another part of Tailrace, so that any two
parts can be upgraded in either order.
"""
