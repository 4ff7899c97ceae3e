"""Immutable versions over content-addressed blobs, their lineages, and what an engine loads."""
