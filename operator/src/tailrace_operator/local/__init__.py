"""The local executor: what `render` decided, carried out as processes on one machine.

It does what an API server, a scheduler and a kubelet would: checks the file, makes the broker's objects, mounts
configuration, keeps the replicas of each Deployment running, and takes everything down again.
"""
