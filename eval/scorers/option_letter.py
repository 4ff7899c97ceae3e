"""The letter of a multiple-choice answer, by CoIN's rule for ScienceQA.

Accepted are exactly `B`, a text that starts with `B. `, or a text with exactly one
`The answer is B.`; anything else ("b", "(B)", "B)", the option's words) counts as no answer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from asd_rewriter.formats import OPTION_LETTERS

_PREFIX = re.compile(rf"([{OPTION_LETTERS}])(?:\. |$)")
_SENTENCE = re.compile(rf"The answer is ([{OPTION_LETTERS}])\.")


def letter_of(text: str) -> str | None:
    """Return the letter `A` to `H` that a text answers with, or None."""
    text = text.strip()
    prefix = _PREFIX.match(text)
    if prefix:
        return prefix[1]
    found = _SENTENCE.findall(text)
    return str(found[0]) if len(found) == 1 else None


def score(prediction: str, references: Sequence[str]) -> float:
    """Return 1.0 if the prediction's letter is the letter of a reference, else 0.0."""
    letter = letter_of(prediction)
    return float(letter is not None and any(letter == letter_of(text) for text in references))
