"""Mixing: X % of a task's turns get another format, in equal shares, stratified by answer.

The samples are read twice, so that no more than a window of them is in memory: first the rewriter
learns the task's facts and the answers are counted, then the chosen turns are rewritten. A rewriter
that prepares its answers has them read once more in between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Generic, Literal, TypeVar

from asd_rewriter.cards import TaskCard
from asd_rewriter.checks import check
from asd_rewriter.plan import RewritePlan
from asd_rewriter.planning import Census, Dealer, Pick, Planner
from asd_rewriter.report import RewriteReport, Tally
from asd_rewriter.rewriter import Declined, Outcome, Rewriter, RewriteRequest, Rewritten
from asd_rewriter.rules.rewriter import RuleRewriter
from asd_rewriter.samples import AnySample, Sample, Turn, turn_key
from asd_rewriter.selection import share_of

Stage = Literal["read", "write"]
Tell = Callable[[Stage, int, int | None], None]
"""Takes the stage, how many samples are done, and of how many (None: not known yet)."""
WINDOW = 512
"""Samples whose turns are rewritten together, and between which progress is told."""
S = TypeVar("S", bound=AnySample)
_NOTHING: Mapping[int, Turn] = {}


@dataclass(slots=True)
class RewrittenSample(Generic[S]):
    """A sample before, and what was rewritten: new turns by their place, from 0."""

    before: S
    new: Mapping[int, Turn]

    def changed(self) -> Iterator[tuple[int, Turn, Turn]]:
        """Yield each rewritten turn: its place, and itself before and after."""
        for index, after in sorted(self.new.items()):
            yield index, self.before.turns[index], after

    @property
    def sample(self: RewrittenSample[Sample]) -> Sample:
        """The sample after; turns that were not rewritten are the same objects."""
        if not self.new:
            return self.before
        own = enumerate(self.before.turns)
        turns = tuple([self.new.get(index, turn) for index, turn in own])
        return self.before.model_copy(update={"turns": turns})


class RewriteStream(Generic[S]):
    """The rewritten samples, as many and in the order that they came in, and then the report."""

    def __init__(
        self,
        samples: Iterable[S],
        card: TaskCard,
        plan: RewritePlan,
        rewriter: Rewriter | None = None,
        tell: Tell | None = None,
    ) -> None:
        """Do nothing yet. `samples` must give the same samples each time it is iterated over; of
        those that are not rewritten, `turns` is read the first time only.

        `rewriter` defaults to rules alone. Every rewritten turn passes `checks.check`; one that
        does not, or that nothing can rewrite, stays native and is counted.
        """
        self._samples, self._plan = samples, plan
        self._rewriter = rewriter or RuleRewriter(card, plan.seed)
        self._tell = tell or (lambda stage, done, total: None)
        self._others = Dealer(plan.formats)
        self._tally: Tally | None = None

    def __iter__(self) -> Iterator[RewrittenSample[S]]:
        """Yield each sample once it is done. Raises RuntimeError the second time: it runs once."""
        if self._tally is not None:
            raise RuntimeError("a RewriteStream runs once; make another one")
        census = self._read()
        self._tally = Tally(share_of(census.turns, self._plan.x_percent), census.native)
        self._rewriter.prepare(self._requests(Planner(census)))
        planner, done = Planner(census), 0
        for window in _windows(self._samples):
            turns = self._rewrite(window, [planner.picks(sample) for sample in window])
            for at, sample in enumerate(window):
                yield RewrittenSample(sample, turns.get(at, _NOTHING))
            done += len(window)
            self._tell("write", done, census.samples)

    @property
    def report(self) -> RewriteReport:
        """Return the counts: of the whole set, with what has been rewritten so far."""
        return (self._tally or Tally(0)).report()

    def _read(self) -> Census:
        census = Census(self._plan)
        for window in _windows(self._samples):
            for sample in window:
                for fact in census.add(sample):
                    self._rewriter.learn(fact)
            self._tell("read", census.samples, None)
        return census

    def _requests(self, planner: Planner) -> Iterator[RewriteRequest]:
        for sample in self._samples:
            for pick in planner.picks(sample):
                yield _request(sample, pick)

    def _rewrite(
        self, window: Sequence[S], picks: Sequence[Sequence[Pick]]
    ) -> dict[int, dict[int, Turn]]:
        """Return new turns by sample and place; what is declined is tried in another format."""
        done: dict[int, dict[int, Turn]] = {}
        pending = [(at, pick) for at, its in enumerate(picks) for pick in its]
        while pending:
            requests = [_request(window[at], pick) for at, pick in pending]
            outcomes = self._rewriter.rewrite(requests)
            again = []
            for (at, pick), request, outcome in zip(pending, requests, outcomes, strict=True):
                if turn := self._accepted(request, outcome):
                    done.setdefault(at, {})[pick.index] = turn
                elif isinstance(outcome, Declined) and (other := pick.other(self._others)):
                    again.append((at, other))
            pending = again
        return done

    def _accepted(self, request: RewriteRequest, outcome: Outcome) -> Turn | None:
        assert self._tally is not None
        reason = check(request, outcome) if isinstance(outcome, Rewritten) else outcome.reason
        if reason is not None or not isinstance(outcome, Rewritten):
            self._tally.reject(request, reason or "")
            return None
        self._tally.accept(request, outcome)
        return outcome.turn


@dataclass(frozen=True)
class RewriteResult:
    """A small set after rewriting, in memory."""

    samples: list[Sample]
    report: RewriteReport


def rewrite(
    samples: Iterable[Sample],
    card: TaskCard,
    plan: RewritePlan,
    rewriter: Rewriter | None = None,
) -> RewriteResult:
    """Rewrite samples that fit into memory: `RewriteStream` all at once."""
    stream = RewriteStream(list(samples), card, plan, rewriter)
    return RewriteResult([it.sample for it in stream], stream.report)


def _windows(samples: Iterable[S]) -> Iterator[list[S]]:
    source = iter(samples)
    while window := list(islice(source, WINDOW)):
        yield window


def _request(sample: AnySample, pick: Pick) -> RewriteRequest:
    key = turn_key(sample.id, pick.index)
    return RewriteRequest(key, sample.id, sample.images, pick.turn, pick.target)
