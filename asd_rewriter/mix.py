"""Mixing: X % of a task's turns get another format, in equal shares, stratified by answer."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from random import Random

from pydantic import BaseModel, ConfigDict, Field, field_validator

from asd_rewriter.answers import normalise
from asd_rewriter.cards import TaskCard
from asd_rewriter.checks import check
from asd_rewriter.facts import POSSIBLE, Fact, read_fact
from asd_rewriter.formats import ASD_FORMATS, AnswerFormat
from asd_rewriter.report import RewriteReport, Tally
from asd_rewriter.rewriter import Outcome, Rewriter, RewriteRequest, Rewritten
from asd_rewriter.rules.rewriter import RuleRewriter
from asd_rewriter.samples import Sample, Turn

__all__ = ["RewritePlan", "RewriteReport", "RewriteResult", "rewrite"]


def _equal_shares() -> dict[AnswerFormat, float]:
    return {it: 1 / len(ASD_FORMATS) for it in ASD_FORMATS}


class RewritePlan(BaseModel):
    """How much to rewrite, and into what.

    `x_percent` (0..100) of all turns get another format. `formats` are the target formats' shares,
    which sum to 1; the native format's share, and that of a format a turn cannot have, go to the
    others in proportion. The same plan on the same samples gives the same result.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    x_percent: float = Field(default=20.0, ge=0, le=100, allow_inf_nan=False)
    formats: dict[AnswerFormat, float] = Field(default_factory=_equal_shares)
    seed: int = Field(default=0, ge=0, lt=2**63)

    @field_validator("formats")
    @classmethod
    def _known_and_whole(cls, shares: dict[AnswerFormat, float]) -> dict[AnswerFormat, float]:
        unknown = [it.value for it in shares if it not in ASD_FORMATS]
        if unknown:
            known = ", ".join(it.value for it in ASD_FORMATS)
            raise ValueError(f"{unknown[0]!r} cannot be rewritten into; choose from {known}")
        if not all(share >= 0 for share in shares.values()):
            raise ValueError("a share is negative or not a number; shares are 0..1")
        if not math.isclose(sum(shares.values()), 1.0, abs_tol=1e-6):
            raise ValueError(f"the shares sum to {sum(shares.values()):g}; they must sum to 1")
        return shares


@dataclass(frozen=True)
class RewriteResult:
    """The training set after rewriting: as many samples and turns as before, in their order."""

    samples: list[Sample]
    report: RewriteReport


def rewrite(
    samples: Iterable[Sample],
    card: TaskCard,
    plan: RewritePlan,
    rewriter: Rewriter | None = None,
) -> RewriteResult:
    """Put X % of the turns into other formats; a turn that no rule can rewrite stays native.

    `rewriter` defaults to rules alone, with wrong answers from the task itself (or the card's
    labels). Every rewritten turn passes `checks.check`.
    """
    kept = list(samples)
    turns = [
        _Place(at, index, turn, read_fact(turn))
        for at, sample in enumerate(kept)
        for index, turn in enumerate(sample.turns)
    ]
    able = [place for place in turns if place.fact is not None]
    rewriter = rewriter or RuleRewriter(card, plan.seed)
    for place in able:
        assert place.fact is not None
        rewriter.learn(place.fact)
    requested = math.floor(len(turns) * plan.x_percent / 100 + 0.5)
    tally = Tally(turns=len(turns), requested=requested)
    picks = [
        _Pick(place, _possible(place.turn, plan))
        for place in _stratified(able, requested, Random(f"{plan.seed}:picks"))
    ]
    done = _Mixer(plan, kept, rewriter, tally).run(picks)
    replaced = [_with_turns(sample, done.get(at, {})) for at, sample in enumerate(kept)]
    return RewriteResult(replaced, tally.report(replaced))


@dataclass(frozen=True)
class _Place:
    at: int
    index: int
    turn: Turn
    fact: Fact | None


@dataclass
class _Pick:
    """A turn to rewrite, and the formats not tried yet."""

    place: _Place
    left: list[AnswerFormat]
    target: AnswerFormat | None = None


def _possible(turn: Turn, plan: RewritePlan) -> list[AnswerFormat]:
    return [it for it in POSSIBLE.get(turn.format, ()) if plan.formats.get(it, 0) > 0]


def _stratified(places: Sequence[_Place], number: int, rng: Random) -> list[_Place]:
    """Draw places so that each answer gets its share, to within one; grouped by answer."""
    shuffled = rng.sample(places, len(places))
    ranks: dict[tuple[str, str], int] = {}
    keyed = [(ranks.setdefault(_stratum(place), len(ranks)), place) for place in shuffled]
    keyed.sort(key=lambda pair: pair[0])
    if number >= len(keyed):
        return [place for _, place in keyed]
    step = len(keyed) / max(number, 1)
    start = rng.random() * step
    return [keyed[min(int(start + turn * step), len(keyed) - 1)][1] for turn in range(number)]


def _stratum(place: _Place) -> tuple[str, str]:
    answer = place.fact.answer if place.fact is not None else ""
    if place.turn.format is AnswerFormat.MULTIPLE_CHOICE:
        answer = place.turn.answer
    return place.turn.format.value, normalise(answer)


@dataclass
class _Mixer:
    plan: RewritePlan
    samples: Sequence[Sample]
    rewriter: Rewriter
    tally: Tally
    _credit: dict[AnswerFormat, float] = field(default_factory=dict)

    def run(self, picks: Sequence[_Pick]) -> dict[int, dict[int, Turn]]:
        """Rewrite in rounds: what fails is tried again in the formats that are left."""
        done: dict[int, dict[int, Turn]] = {}
        pending = list(picks)
        for pick in pending:
            self._count_impossible(pick)
            self._aim(pick)
        while pending := [pick for pick in pending if pick.target is not None]:
            requests = [self._request(pick) for pick in pending]
            outcomes = self.rewriter.rewrite(requests)
            failed = []
            for pick, request, outcome in zip(pending, requests, outcomes, strict=True):
                if self._accept(request, outcome):
                    assert isinstance(outcome, Rewritten)
                    done.setdefault(pick.place.at, {})[pick.place.index] = outcome.turn
                else:
                    self._aim_again(pick)
                    failed.append(pick)
            pending = failed
        return done

    def _aim(self, pick: _Pick) -> None:
        """Choose the format that is furthest behind its share among those possible."""
        shares = {it: self.plan.formats[it] for it in pick.left}
        total = sum(shares.values())
        for it, share in shares.items():
            self._credit[it] = self._credit.get(it, 0.0) + share / total
        pick.target = max(shares, key=lambda it: self._credit[it]) if shares else None
        if pick.target is not None:
            pick.left.remove(pick.target)
            self._credit[pick.target] -= 1

    def _aim_again(self, pick: _Pick) -> None:
        assert pick.target is not None
        self._credit[pick.target] += 1
        if pick.left:
            pick.target = max(pick.left, key=lambda it: self._credit[it])
            pick.left.remove(pick.target)
            self._credit[pick.target] -= 1
        else:
            pick.target = None

    def _count_impossible(self, pick: _Pick) -> None:
        for it, share in self.plan.formats.items():
            if share > 0 and it not in pick.left and it is not pick.place.turn.format:
                self.tally.impossible[it] += 1

    def _request(self, pick: _Pick) -> RewriteRequest:
        sample = self.samples[pick.place.at]
        assert pick.target is not None
        return RewriteRequest(
            f"{sample.id}#{pick.place.index}",
            sample.id,
            sample.images,
            pick.place.turn,
            pick.target,
        )

    def _accept(self, request: RewriteRequest, outcome: Outcome) -> bool:
        reason = check(request, outcome) if isinstance(outcome, Rewritten) else outcome.reason
        if reason is not None or not isinstance(outcome, Rewritten):
            self.tally.reject(request, reason or "declined")
            return False
        self.tally.accept(request, outcome)
        return True


def _with_turns(sample: Sample, turns: dict[int, Turn]) -> Sample:
    if not turns:
        return sample
    replaced = tuple(turns.get(index, turn) for index, turn in enumerate(sample.turns))
    return sample.model_copy(update={"turns": replaced})
