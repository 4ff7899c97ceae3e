"""Words that a reader saw in the image, listed in the question: wrong answers at hand."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from asd_rewriter.answers import normalise
from asd_rewriter.facts import Fact
from asd_rewriter.rules.kinds import kind_of
from asd_rewriter.rules.sameness import too_close

_LONGEST = 40


def read_tokens(question: str, prefix: str) -> list[str]:
    """Return the tokens of the line that starts with `prefix`, divided by commas, each once."""
    for line in question.splitlines():
        if line.startswith(prefix):
            tokens = (token.strip() for token in line[len(prefix) :].split(","))
            return list(dict.fromkeys(it for it in tokens if 0 < len(it) <= _LONGEST))
    return []


def wrong_tokens(rng: Random, fact: Fact, tokens: Sequence[str], number: int) -> list[str]:
    """Return up to `number` tokens that differ from the right answers, similar ones first.

    None where the answer has no word among the tokens: it was not read from the image.
    """
    seen = {normalise(token) for token in tokens}
    if not seen & {normalise(fact.answer), *map(normalise, fact.answer.split())}:
        return []
    kind, size = kind_of(fact.answer), len(fact.answer)
    drawn = rng.sample(tokens, len(tokens))
    drawn.sort(key=lambda it: (kind_of(it) != kind, abs(len(it) - size) // 3))
    names = [normalise(it) for it in (fact.answer, *fact.accepted)]
    found: list[str] = []
    for token in drawn:
        name = normalise(token)
        if len(found) < number and _is_text(name) and not any(too_close(name, it) for it in names):
            found.append(token)
            names.append(name)
    return found


def _is_text(name: str) -> bool:
    return any(map(str.isalnum, name)) and name not in ("yes", "no")
