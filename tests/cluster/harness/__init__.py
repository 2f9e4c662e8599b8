"""A real Kubernetes for the tests, from pinned sources, that leaves nothing behind."""
