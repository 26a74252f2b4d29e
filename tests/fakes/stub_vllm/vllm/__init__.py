"""Stands where vLLM would: only as much of it as its client is asked for."""
