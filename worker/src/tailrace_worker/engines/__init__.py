"""Engines: what produces tokens. Only `engines/vllm/` knows vLLM; `simulated` is for load and chaos tests."""
