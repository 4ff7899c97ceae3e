"""The letter of a multiple-choice answer, by CoIN's rule for ScienceQA.

Accepted are exactly `B`, a text that starts with `B. `, or a text with exactly one
`The answer is B.`; anything else ("b", "(B)", "B)", the option's words) counts as no answer.

Published: SEFE's script. Quirks: the sentence's period stands for any character, so "The answer
is Because" answers B; only A to E exist; a missing prediction leaves the denominator, which is
not imitated. Fixed: the period is a period, and the letter must be one of the question's options.
Lenient: also "(b)", "Option B", the option's own words, if no other option is named.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence

from asd_rewriter.formats import OPTION_LETTERS, Options, parse_options
from eval.items import EvalItem
from eval.scorers.binding import Bound, Scorer
from eval.scorers.saying import Sayings, denies
from eval.scorers.words import words_of

PUBLISHED_LETTERS = "ABCDE"
_PREFIX = re.compile(rf"([{OPTION_LETTERS}])(?:\. |$)")
_SENTENCE = re.compile(rf"The answer is ([{OPTION_LETTERS}])\.")
_SENTENCE_ANY_END = re.compile(r"The answer is ([A-Z]).")
# Possessive quantifiers keep the time linear in the text, which may be hostile.
_ALONE = re.compile(
    r"\W*+(?:(?:the )?(?:correct |right |final |best )?(?:answer|option|choice)(?: is)?\W++)?"
    r"(?:option\W++)?([a-h])\W*+",
    re.I,
)
_JOINS = r"\s++(?:or|and|because|since|as|is|was|are|looks|seems|would|has)\b"
# An A before another word is an article.
_CAPITAL = re.compile(rf"(?<![\w'.])(?:A(?=[\"')\]*.:,;]|\s*+\Z|{_JOINS})|[B-H](?![\w']))")
_PERHAPS = re.compile(r"(?<![\w'.])A(?=\s++[A-H](?![\w']))")
_NAMED = re.compile(
    r"\b(?:option|choice) [\"'(]*+([A-Ha-h])(?![\w'])|\(([A-Ha-h])\)"
    r"|\banswer(?: is)?:? [\"'(]*+([b-h])(?![\w'])"
)


def letter_of(text: str) -> str | None:
    """Return the letter `A` to `H` that a text answers with, or None."""
    text = text.strip()
    prefix = _PREFIX.match(text)
    if prefix:
        return prefix[1]
    found = _SENTENCE.findall(text)
    return str(found[0]) if len(found) == 1 else None


def published_letter_of(text: str) -> str | None:
    """Return the letter that SEFE's script reads from a text, or None."""
    text = text.strip()
    if text in PUBLISHED_LETTERS and len(text) == 1:
        return text
    if text[1:3] == ". " and text[0] in PUBLISHED_LETTERS:
        return text[0]
    found = _SENTENCE_ANY_END.findall(text)
    return str(found[0]) if len(found) == 1 else None


def _right(item: EvalItem, options: Sequence[str], known: str = OPTION_LETTERS) -> set[str]:
    """Return the references' letters, as far as the question has such options, if it lists any."""
    letters = known[: len(options)] if options else known
    return {letter for text in item.references if (letter := letter_of(text)) and letter in letters}


def _by(read: Callable[[str], str | None], known: str) -> Callable[[EvalItem], Bound]:
    def bind(item: EvalItem) -> Bound:
        right = _right(item, _options(item).options, known)
        return lambda answer: 1.0 if read(answer) in right else 0.0

    return bind


def _options(item: EvalItem) -> Options:
    return parse_options(item.question) or Options(item.question, ())


_fixed = _by(letter_of, OPTION_LETTERS)


def _lenient(item: EvalItem, rivals: Collection[str]) -> Bound:
    strict, listed = _fixed(item), _options(item)
    right = _right(item, listed.options)
    options = list(zip(OPTION_LETTERS, listed.options, strict=False))
    said = Sayings(
        [text for letter, text in options if letter in right],
        listed.stem,
        [text for letter, text in options if letter not in right],
    )

    def score(answer: str) -> float:
        if strict(answer):
            return 1.0
        alone = _ALONE.fullmatch(answer)
        if alone:
            return float(alone[1].upper() in right)
        named = _named(answer)
        if not named | set(_PERHAPS.findall(answer)) <= right:
            return 0.0
        return float(said.says(answer) or (bool(named) and _nothing_against(answer, said)))

    return score


def _named(answer: str) -> set[str]:
    letters = {str(found[found.lastindex or 0]).upper() for found in _NAMED.finditer(answer)}
    return letters | {found[0] for found in _CAPITAL.finditer(answer)}


def _nothing_against(answer: str, said: Sayings) -> bool:
    words = words_of(answer).words
    return not denies(words, ()) and not said.names_rival(words)


SCORER = Scorer(_fixed, _by(published_letter_of, PUBLISHED_LETTERS), _lenient, version=2)
