"""Engines: vLLM processes that serve a base and its adapters, watched and proven."""
