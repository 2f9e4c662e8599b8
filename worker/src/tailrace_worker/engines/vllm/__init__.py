"""The vLLM engine. Importing this package imports vLLM; nothing else in the worker does."""

from tailrace_worker.engines.vllm.engine import VllmEngine

__all__ = ["VllmEngine"]
