"""Whether a dataset's answers look as its card says."""

from __future__ import annotations

from collections.abc import Mapping

from asd_rewriter.cards import TaskCard
from asd_rewriter.formats import AnswerFormat

MIN_SHARE = 0.05
"""A card of whose format fewer turns are is of another task."""


def contradiction(card: TaskCard, native: Mapping[AnswerFormat, int]) -> str | None:
    """Return what is odd about a card, given the turns by native format, or None.

    Of explanations and captions a card is believed: they may be any text.
    """
    turns = sum(native.values())
    fitting = {card.answer_format}
    if card.answer_format is AnswerFormat.SHORT_ANSWER:
        fitting.add(AnswerFormat.YES_NO)
    number = sum(native.get(it, 0) for it in fitting)
    if number >= MIN_SHARE * turns:
        return None
    listed = ", ".join(f"{it.value} {native[it]:,}" for it in AnswerFormat if native.get(it))
    return (
        f"the card says {card.answer_format.value}, and {number:,} of {turns:,} answers look like "
        f"it: all others are read as what they look like ({listed}). Correct the card's "
        "answer_format, or leave the card out: one is made from the rows then."
    )
