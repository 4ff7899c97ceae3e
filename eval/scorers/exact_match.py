"""Exact match up to case, white space and a trailing period (CoIN's rule for GQA, OCR-VQA)."""

from __future__ import annotations

from collections.abc import Sequence


def normalise(text: str) -> str:
    """Return the text in lower case, white space collapsed, trailing periods removed."""
    return " ".join(text.lower().split()).rstrip(". ")


def score(prediction: str, references: Sequence[str]) -> float:
    """Return 1.0 if the normalised prediction equals a normalised reference, else 0.0."""
    answer = normalise(prediction)
    return float(bool(answer) and any(answer == normalise(text) for text in references))
