"""Words of answers: what the lenient and the containment rules compare.

A text becomes lower-case words with the clause each stands in. Number words up to twelve become
digits, and a number loses a comma before exactly three digits: 1,500 is 1500, 1,5 is not 15. All
patterns are linear in the text, which may be hostile.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_WORD = re.compile(
    r"(?P<number>(?<![\w.])-?\d+(?:[.,]\d+)*(?!\w)%?)|(?P<word>\w+(?:['’]\w+)*)"
    r"|(?P<end>[.;:!?](?=\s|\Z)|,(?!\d)|\n|\s[-–—]\s)"
)
_NUMBERS = "zero one two three four five six seven eight nine ten eleven twelve"
_THOUSANDS = re.compile(r",(?=\d{3}(?!\d))")
_DIGITS = {word: str(number) for number, word in enumerate(_NUMBERS.split(" "))}


@dataclass(frozen=True)
class Words:
    """A text's words in lower case, and for each the number of its clause, counted from 0."""

    words: tuple[str, ...]
    clauses: tuple[int, ...]


def words_of(text: str) -> Words:
    """Return the words of a text; a clause ends at . ; : ! ? , a dash between spaces, a line."""
    words: list[str] = []
    clauses: list[int] = []
    clause = 0
    for found in _WORD.finditer(text.lower().replace("’", "'")):
        if found["end"]:
            clause += 1
            continue
        word = _THOUSANDS.sub("", found[0]) if found["number"] else found[0]
        words.append(_DIGITS.get(word, word))
        clauses.append(clause)
    return Words(tuple(words), tuple(clauses))


def places(words: tuple[str, ...], phrase: tuple[str, ...]) -> Iterator[int]:
    """Yield where a phrase (not empty) starts among the words."""
    first, size = phrase[0], len(phrase)
    for at, word in enumerate(words):
        if word == first and words[at : at + size] == phrase:
            yield at


def is_number(word: str) -> bool:
    """Whether a word is a number in digits."""
    return word.lstrip("-")[:1].isdigit()


def phrases(texts: Iterable[str]) -> list[tuple[str, ...]]:
    """Return the texts' words, without repeats and without texts that have no word."""
    found = (words_of(text).words for text in texts)
    return list(dict.fromkeys(words for words in found if words))
