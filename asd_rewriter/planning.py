"""Which turns are rewritten, and into what: decided sample by sample, the same each time."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from asd_rewriter.facts import POSSIBLE, Fact, read_fact
from asd_rewriter.formats import AnswerFormat
from asd_rewriter.plan import RewritePlan
from asd_rewriter.samples import Sample, Turn
from asd_rewriter.selection import Selection, Strata, share_of, stratum_of


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
class Able:
    """A turn that could be rewritten: its place in its sample, and the formats it could have."""

    index: int
    turn: Turn
    fact: Fact
    formats: tuple[AnswerFormat, ...]


@dataclass(frozen=True)
class Pick:
    """A turn to rewrite: the format to try first, and those that are left."""

    able: Able
    target: AnswerFormat
    left: tuple[AnswerFormat, ...]

    def other(self, dealer: Dealer) -> Pick | None:
        """Return the pick with another format, None when all were tried."""
        return pick_of(self.able, self.left, dealer.deal(self.left)) if self.left else None


def pick_of(able: Able, formats: tuple[AnswerFormat, ...], target: AnswerFormat) -> Pick:
    """Return a pick that tries `target` first."""
    return Pick(able, target, tuple(it for it in formats if it is not target))


@dataclass
class Census:
    """What the first reading tells: how many samples, turns and units there are of each answer."""

    plan: RewritePlan
    samples: int = 0
    turns: int = 0
    strata: Strata = field(default_factory=Strata)

    def add(self, sample: Sample) -> list[Fact]:
        """Count a sample; return the facts of its turns."""
        facts = [read_fact(turn) for turn in sample.turns]
        self.samples += 1
        self.turns += len(facts)
        found = list(able_turns(self.plan, sample.turns, facts))
        for unit in _units(self.plan, found):
            self.strata.add(stratum_of(unit.turn, unit.fact))
        return [fact for fact in facts if fact is not None]

    def selection(self) -> Selection:
        """Return the choice of X % of the units."""
        units = self.samples if self.plan.unit == "sample" else self.turns
        return self.strata.selection(share_of(units, self.plan.x_percent), self.plan.seed)


class Planner:
    """Goes through the samples once more and tells which turns to rewrite."""

    def __init__(self, plan: RewritePlan, selection: Selection) -> None:
        self._plan, self._selection = plan, selection.again()
        self._dealer = Dealer(plan.formats)

    def picks(self, sample: Sample) -> list[Pick]:
        """Return the sample's turns to rewrite; a whole sample gets one format where it can."""
        facts = (read_fact(turn) for turn in sample.turns)
        found = list(able_turns(self._plan, sample.turns, facts))
        picked = [
            it for it in _units(self._plan, found)
            if self._selection.pick(stratum_of(it.turn, it.fact))
        ]  # fmt: skip
        whole = self._plan.unit == "sample"
        picks: list[Pick] = []
        for able in found if whole and picked else picked:
            shared = picks[0].target if whole and picks else None
            target = shared if shared in able.formats else self._dealer.deal(able.formats)
            picks.append(pick_of(able, able.formats, target))
        return picks


def able_turns(
    plan: RewritePlan, turns: Iterable[Turn], facts: Iterable[Fact | None]
) -> Iterable[Able]:
    """Yield the turns that can have a format of the plan."""
    for index, (turn, fact) in enumerate(zip(turns, facts, strict=True)):
        if fact is None:
            continue
        formats = tuple(it for it in POSSIBLE[turn.format] if plan.formats.get(it, 0) > 0)
        if formats:
            yield Able(index, turn, fact, formats)


def _units(plan: RewritePlan, found: list[Able]) -> list[Able]:
    """Return what is drawn: each turn, or the first one in the sample's stead."""
    return found[:1] if plan.unit == "sample" else found
