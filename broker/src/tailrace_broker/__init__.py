"""The one edge to NATS that gateway and worker share: connections, log reads, leases, large payloads.

It exists so that the traps of the client library (silent defaults, missing calls) are met once. It decides nothing:
what an event means is `tailrace_protocol`'s.
"""
