"""Evaluation: items, predictions, scores, the accuracy matrix, the forgetting report, the gate.

Always `from eval.x import y`: the bare package name would hide a builtin.
"""
