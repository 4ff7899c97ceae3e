"""Benchmarks: `make bench-<name>`; progress on stderr, the last line of stdout one JSON object."""
