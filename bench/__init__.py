"""Benchmarks: what a stream costs on its way through Tailrace, and what a failure costs the client.

Everything runs on this machine, over the loopback, and is compared with something simpler in the same run: absolute
times of a shared machine mean little, differences and ratios mean something.
"""
