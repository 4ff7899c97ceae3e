"""Which turns are rewritten, and into what: decided sample by sample, the same each time."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from asd_rewriter.facts import POSSIBLE, Fact, read_fact
from asd_rewriter.formats import AnswerFormat
from asd_rewriter.plan import RewritePlan
from asd_rewriter.samples import AnySample, Turn
from asd_rewriter.selection import NUM_STRATA, Selection, Strata, share_of, stratum_of

NOT_DRAWN = NUM_STRATA
"""Stands for a turn that is not drawn: nothing can be made of it, or its sample is drawn whole."""
_LAST = 2**31
"""Marks the last turn of a sample."""


class Dealer:
    """Deals formats so that each gets its share of what is dealt."""

    def __init__(self, shares: Mapping[AnswerFormat, float]) -> None:
        self._shares = shares
        self._credit = dict.fromkeys(shares, 0.0)

    def deal(self, among: Collection[AnswerFormat]) -> AnswerFormat:
        """Return the one of these formats that is furthest behind."""
        total = sum(self._shares[it] for it in among)
        for it in among:
            self._credit[it] += self._shares[it] / total
        chosen = max(among, key=self._credit.__getitem__)
        self._credit[chosen] -= 1
        return chosen


@dataclass(frozen=True)
class Pick:
    """A turn to rewrite: its place in its sample, the format to try first, and the others."""

    index: int
    turn: Turn
    target: AnswerFormat
    left: tuple[AnswerFormat, ...]

    def other(self, dealer: Dealer) -> Pick | None:
        """Return the pick with another format, None when all were tried."""
        if not self.left:
            return None
        target = dealer.deal(self.left)
        left = tuple(it for it in self.left if it is not target)
        return Pick(self.index, self.turn, target, left)


class Census:
    """What the first reading tells: how many samples and turns, and each turn's stratum.

    It takes four bytes per turn. With these, the next reading need not look at what is not drawn.
    """

    def __init__(self, plan: RewritePlan) -> None:
        self.plan = plan
        self.samples = 0
        self.native: Counter[AnswerFormat] = Counter()
        self.strata = array("I")
        self.formats = _possible(plan)
        self._counts = Strata()

    @property
    def turns(self) -> int:
        """The number of turns counted."""
        return len(self.strata)

    def add(self, sample: AnySample) -> list[Fact]:
        """Count a sample; return the facts of its turns."""
        self.samples += 1
        facts, drawn = [], False
        for turn in sample.turns:
            self.native[turn.format] += 1
            stratum = NOT_DRAWN
            if (fact := read_fact(turn)) is not None:
                facts.append(fact)
                if self.formats[turn.format] and not (drawn and self.plan.unit == "sample"):
                    stratum, drawn = stratum_of(turn, fact), True
                    self._counts.add(stratum)
            self.strata.append(stratum)
        self.strata[-1] |= _LAST
        return facts

    def selection(self) -> Selection:
        """Return the choice of X % of the turns, or of the samples where these are drawn."""
        units = self.samples if self.plan.unit == "sample" else self.turns
        return self._counts.selection(share_of(units, self.plan.x_percent), self.plan.seed)


class Planner:
    """Goes through the counted samples once more and tells which turns to rewrite."""

    def __init__(self, census: Census) -> None:
        self._census, self._selection = census, census.selection()
        self._dealer = Dealer(census.plan.formats)
        self._strata = iter(census.strata)

    def picks(self, sample: AnySample) -> list[Pick]:
        """Return the sample's turns to rewrite; a whole sample gets one format where it can."""
        drawn = self._drawn()
        if drawn and self._census.plan.unit == "sample":
            return self._whole(sample)
        return [self._pick(index, sample.turns[index]) for index in drawn]

    def _drawn(self) -> list[int]:
        """Return which turns of the next sample are drawn."""
        drawn = []
        for index, stratum in enumerate(self._strata):
            last = stratum >= _LAST
            stratum -= _LAST * last
            if stratum != NOT_DRAWN and self._selection.pick(stratum):
                drawn.append(index)
            if last:
                break
        return drawn

    def _whole(self, sample: AnySample) -> list[Pick]:
        picks: list[Pick] = []
        for index, turn in enumerate(sample.turns):
            if self._census.formats[turn.format] and read_fact(turn) is not None:
                picks.append(self._pick(index, turn, picks[0].target if picks else None))
        return picks

    def _pick(self, index: int, turn: Turn, wish: AnswerFormat | None = None) -> Pick:
        possible = self._census.formats[turn.format]
        target = wish if wish in possible else self._dealer.deal(possible)
        left = tuple(it for it in possible if it is not target)
        return Pick(index, turn, target, left)


def _possible(plan: RewritePlan) -> dict[AnswerFormat, tuple[AnswerFormat, ...]]:
    """Return the planned formats that turns of each native format can have."""
    return {
        native: tuple(it for it in POSSIBLE.get(native, ()) if plan.formats.get(it, 0) > 0)
        for native in AnswerFormat
    }
