"""Tailrace operator: one brain (render, plan), two executors (Kubernetes, local processes)."""
