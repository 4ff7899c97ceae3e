"""The seam between mixing and rewriting: what a rewriter is asked, and what it may answer.

A task's samples are read twice. While they are read first, the rewriter learns every fact; then it
is told all requests, so that it may ask a model ahead, many at a time; while they are read again it
is asked for the outcomes, in small batches. `rules.rewriter.RuleRewriter` needs no model.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from asd_rewriter.facts import Fact
from asd_rewriter.formats import AnswerFormat
from asd_rewriter.samples import Turn

FALLBACK_WORDING = "fallback_wording"
FEWER_OPTIONS = "fewer_options"
TEMPLATE_EXPLANATION = "template_explanation"
DISTRACTORS = "distractors:"


@dataclass(frozen=True)
class RewriteRequest:
    """One turn and the format it should get. `key` names the turn; randomness derives from it.

    `group` names the sample: requests of one group show the same images.
    """

    key: str
    group: str
    images: tuple[str, ...]
    turn: Turn
    target: AnswerFormat


@dataclass(frozen=True)
class Rewritten:
    """A turn in its new format. `claim` is the candidate that a yes/no question asks about.

    `notes` are words to count: `fallback_wording`, `fewer_options`, `template_explanation`, and
    where wrong answers came from (`distractors:pool`, `distractors:labels`, ...).
    """

    turn: Turn
    claim: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Declined:
    """Why a turn cannot get the format: a stable word, to be counted. Another format is tried."""

    reason: str


@dataclass(frozen=True)
class Failed:
    """Why the attempts came to nothing: a stable word, to be counted. The turn stays native."""

    reason: str


Outcome = Rewritten | Declined | Failed


class Rewriter(Protocol):
    """Puts turns into other formats."""

    def learn(self, fact: Fact) -> None:
        """Take in one fact of the task; called for every fact, before anything is asked."""
        ...

    def prepare(self, requests: Iterable[RewriteRequest]) -> None:
        """Get ready to answer these requests, which will be asked in this order."""
        ...

    def rewrite(self, requests: Sequence[RewriteRequest]) -> list[Outcome]:
        """Return one outcome per request, in order; the same for the same calls."""
        ...
