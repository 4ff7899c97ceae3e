"""Rewriting by rules alone: one module per target format, and the pool of wrong answers."""
