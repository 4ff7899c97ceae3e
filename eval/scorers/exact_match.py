"""Exact match: up to case, white space and trailing periods.

Published: MCITlib's rule for UCIT (ImageNet-R, ArxivQA, IconQA, CLEVR-Math): upper-cased texts
are equal. Its quirks: a trailing period is wrong, inner white space counts, an empty answer
equals an empty truth, and `ß` equals `ss` because of the upper case.
"""

from __future__ import annotations

from eval.scorers.binding import Scorer, equality, or_said


def normalise(text: str) -> str:
    """Return the text in lower case, white space collapsed, trailing periods removed."""
    return " ".join(text.lower().split()).rstrip(". ")


def upper(text: str) -> str:
    """Return the text in upper case without outer white space, as the papers' scripts do."""
    return text.strip().upper()


FIXED = equality(normalise)
SCORER = Scorer(FIXED, equality(upper, empty=True), or_said(FIXED), version=2)
