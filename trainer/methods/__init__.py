"""Continual-learning methods: one module each, listed in `trainer.catalog`."""
