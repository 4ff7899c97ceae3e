"""What the gate judges on: scores of the same items before and now, and the bounds they give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from eval.errors import InvalidGateInput
from eval.sequential import Floats, combine, error_at, looks, lower_bounds
from eval.verdicts import GatePolicy

_SAME_CHANGE = 12  # decimals: 0.9 - 0.6 and 0.6 - 0.3 are one value
_NO_CHANGE = 0.5  # of a change in [-1, 1] mapped to [0, 1]


class ItemScores(Protocol):
    """Scores of one version on one task, by item digest, as `eval.scoring` gives them."""

    @property
    def task(self) -> str: ...
    @property
    def scorer(self) -> str: ...
    @property
    def scores(self) -> Mapping[str, float]: ...


@dataclass(frozen=True)
class TaskEvidence:
    """What is known of one old task: the same items' scores before and now, each in [0, 1].

    Args:
        before: scores of the parent, at least one.
        after: scores of the version, on the same items in the same order.
        more: how many items could still be asked (>= 0).

    Raises:
        InvalidGateInput: if the two differ in length, are empty, or a score is not in [0, 1].
    """

    before: Sequence[float] | Floats
    after: Sequence[float] | Floats
    more: int = 0

    def __post_init__(self) -> None:
        if len(self.before) != len(self.after) or self.n == 0 or self.more < 0:
            raise InvalidGateInput(
                f"scores come in pairs: got {len(self.before)} of the parent, {len(self.after)} of "
                f"the version, {self.more} more to ask. Score both on the same items, at least one."
            )
        for scores in (self.before, self.after):
            values = np.asarray(scores, float)
            wrong = values[~((values >= 0) & (values <= 1))]
            if wrong.size:
                raise InvalidGateInput(f"an item's score is in [0, 1]: got {wrong[0]}.")

    @classmethod
    def paired(cls, before: ItemScores, after: ItemScores, more: int = 0) -> TaskEvidence:
        """Return the evidence of two versions' scores, paired by item.

        Raises:
            InvalidGateInput: if they are of another task, scorer or item.
        """
        if (before.task, before.scorer) != (after.task, after.scorer):
            raise InvalidGateInput(
                f"the version was scored on {after.task!r} by {after.scorer!r}, its parent on "
                f"{before.task!r} by {before.scorer!r}. Score both by the same scorer."
            )
        alone = before.scores.keys() ^ after.scores.keys()
        if alone:
            raise InvalidGateInput(
                f"{len(alone)} items of {before.task!r} were scored for only one of version and "
                f"parent, the first is {min(alone)}. Ask both the same items."
            )
        pairs = [(score, after.scores[item]) for item, score in before.scores.items()]
        return cls([then for then, _ in pairs], [now for _, now in pairs], more)

    @property
    def n(self) -> int:
        """How many items were asked."""
        return len(self.after)


@dataclass(frozen=True)
class Change:
    """A task's change, or the mean's (task None), with its bounds: now minus before, fractions.

    `available` items there are. `next_look` counts the items to have for the look after this one,
    within the budget; None: this was the last. A look that `may_decide` has enough items and is one
    of those that share the error.
    """

    task: str | None
    before: float
    now: float
    lower: float
    upper: float
    n: int
    available: int
    may_decide: bool
    next_look: int | None

    @property
    def measured(self) -> float:
        """Now minus before."""
        return self.now - self.before


def changes_of_items(
    evidence: Mapping[str, TaskEvidence], policy: GatePolicy, first: int | None
) -> list[Change]:
    """Return every task's change, by name, with bounds for the look that its n items make."""
    plans = {name: _looks(found, policy, first) for name, found in sorted(evidence.items())}
    errors = [
        error_at(1 - policy.confidence, evidence[name].n, sizes) for name, sizes in plans.items()
    ]
    lower, upper = _bounds([evidence[name] for name in plans], np.array(errors))
    return [
        Change(
            task=name,
            before=float(np.mean(evidence[name].before)),
            now=float(np.mean(evidence[name].after)),
            lower=float(lower[at]),
            upper=float(upper[at]),
            n=evidence[name].n,
            available=evidence[name].n + evidence[name].more,
            may_decide=evidence[name].n in sizes,
            next_look=next((size for size in sizes if size > evidence[name].n), None),
        )
        for at, (name, sizes) in enumerate(plans.items())
    ]


def _looks(found: TaskEvidence, policy: GatePolicy, first: int | None) -> list[int]:
    """The looks that may decide; too few items never do."""
    budget = max(policy.max_samples, policy.min_samples, found.n)
    sizes = looks(first or found.n, min(budget, found.n + found.more))
    return [size for size in sizes if size >= policy.min_samples]


def _bounds(evidence: Sequence[TaskEvidence], errors: Floats) -> tuple[Floats, Floats]:
    """Bounds of all tasks at once. One check is enough to block, a task's or the mean's: that
    error is shared out among them (Bonferroni)."""
    tallies = [_tally(found) for found in evidence]
    width = max(len(values) for values, _ in tallies)
    values_TV = np.full((len(tallies), width), _NO_CHANGE)
    counts_TV = np.zeros_like(values_TV)
    for at, (values, counts) in enumerate(tallies):
        values_TV[at, : len(values)], counts_TV[at, : len(values)] = values, counts
    lower, lost = lower_bounds(
        np.stack([values_TV, 1 - values_TV]),
        np.stack([counts_TV, counts_TV]),
        np.stack([errors, errors / (len(tallies) + 1)]),
    )
    return 2 * lower - 1, 1 - 2 * lost


def mean_change(changes: Sequence[Change]) -> Change:
    """Return the change of the mean over tasks, each counting the same whatever its n."""
    measured = [change.measured for change in changes]
    return Change(
        task=None,
        before=float(np.mean([change.before for change in changes])),
        now=float(np.mean([change.now for change in changes])),
        lower=combine(measured, [change.lower for change in changes]),
        upper=combine(measured, [change.upper for change in changes]),
        n=sum(change.n for change in changes),
        available=sum(change.available for change in changes),
        may_decide=all(change.may_decide for change in changes),
        next_look=None,
    )


def _tally(found: TaskEvidence) -> tuple[Floats, Floats]:
    change = np.asarray(found.after, float) - np.asarray(found.before, float)
    values, counts = np.unique(np.round(change, _SAME_CHANGE), return_counts=True)
    return (1 + values) / 2, counts.astype(float)
