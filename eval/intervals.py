"""How sure a number is: 95 % intervals, and paired tests of two versions on the same items.

Figures are in points: 0 to 100 for accuracies, -100 to 100 for changes. Item scores are in [0, 1].
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from eval.errors import InvalidScores

LEVEL = 0.95
"""Of every interval here; two-sided."""
Z = NormalDist().inv_cdf((1 + LEVEL) / 2)
_FLIPS, _FLIPS_AT_ONCE, _SEED = 10_000, 1_000, 0
_MOST_FLIPPED = 2000
_SAME = 1e-9  # two differences this close are one: 0.3 - 0.0 and 0.9 - 0.6

Scores = NDArray[np.float64]


class Interval(BaseModel):
    """A 95 % confidence interval in points, low <= high."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    low: float
    high: float


class PairedChange(BaseModel):
    """What changed between two versions on the same n items, after minus before, in points.

    `p_value` is two-sided, of the hypothesis that nothing changed. `lost` counts the items that
    score lower than before, `gained` those that score higher. `p_adjusted` is the p-value after
    Holm's correction for all tasks compared together; None for a task compared alone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    change: float
    interval: Interval
    p_value: float
    n: int
    lost: int
    gained: int
    p_adjusted: float | None = None


class Part(NamedTuple):
    """A measured number with its interval, and the weight it has in a sum."""

    weight: float
    points: float
    interval: Interval


def wilson(accuracy: float, n: int) -> Interval:
    """Return the score interval of an accuracy (points) over n >= 1 items (Wilson 1927).

    For 0/1 scores. For soft scores it is wider than needed: of all scores in [0, 1] with the same
    mean, 0/1 scores vary most. It holds the accuracy, lies in 0..100, and n = 1 is fine.
    """
    share, extra = accuracy / 100, Z * Z / n
    centre = (share + extra / 2) / (1 + extra)
    half = Z * math.sqrt(share * (1 - share) / n + extra / (4 * n)) / (1 + extra)
    low, high = 100 * (centre - half), 100 * (centre + half)
    return Interval(low=max(min(low, accuracy), 0.0), high=min(max(high, accuracy), 100.0))


def spread(groups: Iterable[Sequence[Part]]) -> tuple[float, float]:
    """Return how far below and above its value the interval of a weighted sum reaches (>= 0).

    The parts' own intervals are put together as in MOVER (Zou and Donner 2008, Statistics in
    Medicine 27:1693), so the sum of one part has that part's interval.

    Args:
        groups: a group holds the parts measured on the same items, as all cells of one task.
            Groups are taken as independent. Within a group a correlation of 0 to 1 is allowed and
            the worst is assumed: 1 between parts of the same sign, 0 between parts of unlike sign.
            A change of two such cells therefore gets an interval that is too wide rather than
            too narrow; `paired_change` gives the exact one where item scores are at hand.
    """
    below = above = 0.0
    for group in groups:
        for sign in (1, -1):
            down = up = 0.0
            for weight, points, interval in group:
                if weight * sign > 0:
                    down += abs(weight) * (points - interval.low)
                    up += abs(weight) * (interval.high - points)
            if sign < 0:
                down, up = up, down
            below += down * down
            above += up * up
    return math.sqrt(below), math.sqrt(above)


def paired_change(before: Mapping[str, float], after: Mapping[str, float]) -> PairedChange:
    """Return the change between two versions' item scores, with interval and p-value.

    The interval is Bonett and Price's adjusted Wald interval for paired proportions (2012, Journal
    of Educational and Behavioral Statistics 37:479): as if one more item had been lost and one
    gained, so it is sound for n = 1 and where nothing changed. Soft scores enter with their own
    differences. The test flips the sign of each difference: for 0/1 scores that is the exact
    McNemar test, for soft scores 10,000 seeded flips (p >= 1/10,001); where more than 2,000 items
    changed, the normal distribution that such flips approach.

    Args:
        before: scores in [0, 1] by item digest, as of the parent.
        after: the same of the version. One side may hold more items; the common ones count.

    Raises:
        InvalidScores: if no item is common, each side has items of its own (another choice of
            items or another data set), or a score is NaN or outside [0, 1].
    """
    return _change(_differences(before, after))


def paired_changes(
    before: Mapping[str, Mapping[str, float]], after: Mapping[str, Mapping[str, float]]
) -> dict[str, PairedChange]:
    """Return `paired_change` per task, with p-values adjusted for the number of tasks (Holm).

    Args:
        before: item scores by task; its tasks are compared, so give the old tasks.
        after: the same; it may hold more tasks.

    Raises:
        InvalidScores: as `paired_change`, or if `after` lacks a task.
    """
    missing = [task for task in before if task not in after]
    if missing:
        raise InvalidScores(f"tasks {missing} have no scores after the change. Score them first.")
    found = {task: paired_change(scores, after[task]) for task, scores in before.items()}
    adjusted = holm({task: change.p_value for task, change in found.items()})
    return {t: c.model_copy(update={"p_adjusted": adjusted[t]}) for t, c in found.items()}


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Return p-values adjusted so that the chance of any false alarm stays below the level.

    Holm's step-down method (1979, Scandinavian Journal of Statistics 6:65); it needs no
    independence. In the order given.

    Raises:
        InvalidScores: if a p-value is NaN or outside [0, 1].
    """
    wrong = {name: p for name, p in p_values.items() if not 0 <= p <= 1}
    if wrong:
        raise InvalidScores(f"p-values lie in 0..1: got {wrong}.")
    adjusted: dict[str, float] = {}
    largest = 0.0
    for rank, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[name]))
        adjusted[name] = largest
    return {name: adjusted[name] for name in p_values}


def _differences(before: Mapping[str, float], after: Mapping[str, float]) -> Scores:
    only = len(before.keys() - after.keys()), len(after.keys() - before.keys())
    common = sorted(before.keys() & after.keys())
    if not common or all(only):
        raise InvalidScores(
            f"the two versions cannot be paired: {len(common)} items are common, {only[0]} were "
            f"scored before only and {only[1]} after only. Evaluate both on the same items."
        )
    sides = [np.array([side[key] for key in common], np.float64) for side in (before, after)]
    for scores in sides:
        wrong = ~((scores >= 0) & (scores <= 1))
        if wrong.any():
            at = int(wrong.argmax())
            raise InvalidScores(f"item {common[at]} has score {scores[at]}: scores lie in 0..1.")
    return sides[1] - sides[0]


def _change(differences: Scores) -> PairedChange:
    lost = int((differences < -_SAME).sum())
    gained = int((differences > _SAME).sum())
    return PairedChange(
        change=100 * float(differences.mean()),
        interval=_bonett_price(differences),
        p_value=_sign_flip(differences),
        n=differences.size,
        lost=lost,
        gained=gained,
    )


def _bonett_price(differences: Scores) -> Interval:
    n = differences.size + 2
    mean = float(differences.sum()) / n
    square = (float((differences**2).sum()) + 2) / n
    half = Z * math.sqrt((square - mean * mean) / n)
    return Interval(low=100 * max(mean - half, -1.0), high=100 * min(mean + half, 1.0))


def _sign_flip(differences: Scores) -> float:
    moved = differences[abs(differences) > _SAME]
    if moved.size == 0:
        return 1.0
    sizes = abs(moved)
    if np.ptp(sizes) <= _SAME:
        return _binomial(int((moved < 0).sum()), int(moved.size))
    observed = abs(float(moved.sum())) - _SAME
    if moved.size > _MOST_FLIPPED:
        return math.erfc(observed / math.sqrt(2 * float((sizes**2).sum())))
    hits = sum(int((abs(sums) >= observed).sum()) for sums in _flipped_sums(sizes))
    return (1 + hits) / (1 + _FLIPS)


def _binomial(fewer: int, n: int) -> float:
    """Return the two-sided p-value of a count out of n fair coins."""
    fewer = min(fewer, n - fewer)
    if 2 * fewer == n:
        return 1.0
    log_factorials = np.concatenate(([0.0], np.log(np.arange(1, n + 1)).cumsum()))
    k = np.arange(fewer + 1)
    logs = log_factorials[n] - log_factorials[k] - log_factorials[n - k] - n * math.log(2)
    return min(1.0, 2 * float(np.exp(logs).sum()))


def _flipped_sums(sizes: Scores) -> Iterable[Scores]:
    """Yield sums under random signs; eight signs a random byte, their sum looked up."""
    octets = np.pad(sizes, (0, -sizes.size % 8)).reshape(-1, 8)
    bits = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)
    table = (2.0 * bits - 1) @ octets.T  # (256, octets)
    columns = np.arange(len(octets))
    generator = np.random.default_rng(_SEED)
    for _ in range(_FLIPS // _FLIPS_AT_ONCE):
        drawn = generator.integers(0, 256, (_FLIPS_AT_ONCE, len(octets)), np.uint8)
        yield table[drawn, columns].sum(axis=1)
