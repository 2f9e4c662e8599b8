"""What runs inside vLLM's own processes. Imports nothing of vLLM by itself: it is loaded while vLLM is starting."""
