"""Continual-learning training jobs: one loop, methods behind one contract, files as interface."""
