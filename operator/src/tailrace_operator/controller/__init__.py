"""The executor on a cluster: kopf tells what changed, one idempotent reconcile per object brings about what is wanted.

Handlers only wake; `Reconciler`s observe, ask the pure parts what to do, carry it out and report. Nothing is remembered
that a restart would lose: what is wanted stands in the resources, what is there stands on the API server.
"""
