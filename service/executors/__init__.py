"""Executors: where a training attempt runs."""
