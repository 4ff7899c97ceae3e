"""Claims that are names or words that are written somewhere."""

from __future__ import annotations

import re

from asd_rewriter.rules.grammar.claims import quotable
from asd_rewriter.rules.grammar.frames import Filled, Frame, joined
from asd_rewriter.rules.grammar.lexicon import (
    with_article,
)
from asd_rewriter.rules.grammar.nouns import Number, noun_number
from asd_rewriter.rules.grammar.words import (
    DETERMINERS,
    FIGURED,
    NUMBER_WORDS,
)

NAME = re.compile(r"[A-Z0-9$€£#][\w'&.:/$€£%-]*(?:,? [\w'&.:/$€£%-]+){0,5}")


def fill_name(frame: Frame, claim: str) -> Filled | None:
    """A name as it is written, or in quotation marks where its capitals are missing."""
    if frame.kind:
        return _brand(frame, claim)
    figures = any(map(str.isdigit, claim)) or claim.lower() in NUMBER_WORDS
    if frame.noun in FIGURED and not figures:
        return None
    return Filled(claim, claim) if NAME.fullmatch(claim) else _quoted(claim)


def _brand(frame: Frame, claim: str) -> Filled | None:
    """A Dell laptop, Nike shoes."""
    number = noun_number(frame.noun.split()[-1])
    if number is None or not NAME.fullmatch(claim) or len(claim.split()) > 2:
        return None
    text = f"{claim} {frame.noun}"
    return Filled(
        with_article(text) if number is Number.ONE else text, claim, number is Number.MANY
    )


def fill_quote(frame: Frame, claim: str) -> Filled | None:
    """Words that are written or said, in quotation marks."""
    bare = claim.strip("\"'“”")
    if not (quotable(bare) or bare.casefold() in _WRITTEN):
        return None
    if frame.quotes and bare.partition(" ")[0].lower() in DETERMINERS:
        return None
    quoted = f'"{bare}"'
    many = frame.noun in ("words", "letters")
    return Filled(joined(f"the {frame.noun}" if frame.noun else "", quoted), bare, many)


def _quoted(claim: str) -> Filled | None:
    """A claim in quotation marks."""
    bare = claim.strip("\"'“”")
    return Filled(f'"{bare}"', bare) if quotable(bare) else None


_WRITTEN = ("yes", "no", "other", "both", "all", "true", "false", "it")
"""What means nothing as an answer, but may be written somewhere."""
