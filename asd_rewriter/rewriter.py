"""The seam between mixing and rewriting: what a rewriter is asked, and what it may answer.

`rules.rewriter.RuleRewriter` needs no model. A rewriter that calls one implements the same
Protocol: it gets requests in batches, so it may work on them concurrently.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from asd_rewriter.formats import AnswerFormat
from asd_rewriter.samples import Turn

FALLBACK_WORDING = "fallback_wording"
FEWER_OPTIONS = "fewer_options"


@dataclass(frozen=True)
class RewriteRequest:
    """One turn and the format it should get. `key` names the turn; randomness derives from it."""

    key: str
    images: tuple[str, ...]
    turn: Turn
    target: AnswerFormat


@dataclass(frozen=True)
class Rewritten:
    """A turn in its new format. `claim` is the candidate that a yes/no question asks about.

    `notes` are words to count: `fallback_wording`, `fewer_options`.
    """

    turn: Turn
    claim: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Declined:
    """Why a turn cannot get the format: a stable word, to be counted."""

    reason: str


class Rewriter(Protocol):
    """Puts turns into other formats."""

    def rewrite(self, requests: Sequence[RewriteRequest]) -> list[Rewritten | Declined]:
        """Return one outcome per request, in order; the same for the same requests."""
        ...
