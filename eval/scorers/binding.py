"""What a scorer is: an item is bound to it once, then it is called with answers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Literal

from eval.items import EvalItem
from eval.scorers.saying import Sayings

Mode = Literal["fixed", "published", "lenient"]
"""`fixed`: our rules, the default. `published`: those of the papers' code, quirks included.
`lenient`: `fixed`, or the right answer in another style."""

Bound = Callable[[str], float]
"""Maps an answer to a score in [0, 1]. Never raises; linear in the answer's length."""

Bind = Callable[[EvalItem], Bound]
BindLenient = Callable[[EvalItem, Collection[str]], Bound]
"""The second argument: other answers of the task, none of which may be named."""


@dataclass(frozen=True)
class Scorer:
    """The three readings of one metric, and the version of its rules (1, 2, ...).

    `lenient` is None for a metric that forgives style by itself: its `fixed` reading stands for it.
    """

    fixed: Bind
    published: Bind
    lenient: BindLenient | None = None
    version: int = 1


def equality(normal: Callable[[str], str], empty: bool = False) -> Bind:
    """Return a rule that is 1.0 where normalised answer and a normalised reference are equal.

    `empty`: whether an answer without content may equal a reference without content.
    """

    def bind(item: EvalItem) -> Bound:
        accepted = {normal(text) for text in item.references}
        if not empty:
            accepted.discard("")
        return lambda answer: 1.0 if normal(answer) in accepted else 0.0

    return bind


def or_said(fixed: Bind) -> BindLenient:
    """Return the lenient reading of a short answer: right by `fixed`, or said in a sentence."""

    def bind(item: EvalItem, rivals: Collection[str]) -> Bound:
        strict = fixed(item)
        sayings = Sayings(item.references, item.question, rivals)
        return lambda answer: strict(answer) or float(sayings.says(answer))

    return bind


def best(scores: Iterable[float]) -> float:
    """Return the largest score, 0.0 of none."""
    return max(scores, default=0.0)
