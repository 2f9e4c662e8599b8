"""A simulation of scaling that drives the operator's own `decide` and the rivals' published algorithms.

All policies get the same requests, the same workers and the same queue; they differ in when they ask for how many
workers, and in what becomes of the streams on a worker that they take away.
"""
