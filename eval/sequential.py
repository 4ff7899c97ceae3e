"""Bounds for the mean of bounded changes that stay honest when one looks, draws more, looks again.

**Bound.** `lower_bounds` inverts the empirical likelihood ratio for a mean (Owen, Biometrika 1988)
after adding one item at the worst value. Without that item no change at all among n items would
pass for certainty; with it few or no changed items give about the exact binomial bound. It uses
nothing but scores in a fixed range: half-right answers are as good as right and wrong ones. A score
that falls never raises a bound, and the order of items does not matter.

**Looks.** Of an error budget alpha the share n / total may be spent by the time n of `total` items
have been looked at (alpha spending: Lan and DeMets, Biometrika 1983). A look gets what was added
since the look before, so that by the union bound all of them together err at most alpha.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

_STEPS = 45  # halvings: of 60 to 2e-12
_WIDEST = 30.0  # exp(30) tilts nothing, exp(-30) everything


def lower_bounds(values: ArrayLike, counts: ArrayLike, alphas: ArrayLike) -> Floats:
    """Return lower confidence bounds for means of values in [0, 1], shape (...).

    Args:
        values: possible values in [0, 1], shape (..., V).
        counts: how many items have each (>= 0, at least one item), shape (..., V).
        alphas: one-sided error of each bound, in (0, 0.5], shape (...).
    """
    value_V, count_V = _with_worst(np.asarray(values, float), np.asarray(counts, float))
    limit = np.vectorize(_chi_square)(np.asarray(alphas, float))
    total = count_V.sum(-1)
    low, high = np.full(total.shape, -_WIDEST), np.full(total.shape, _WIDEST)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        beyond = _ratio(np.exp(middle), value_V, count_V, total) > limit
        low, high = np.where(beyond, middle, low), np.where(beyond, high, middle)
    weight_V = count_V / (np.exp(low)[..., None] + value_V)
    bounds: Floats = (weight_V * value_V).sum(-1) / weight_V.sum(-1)
    return bounds


def _with_worst(values: Floats, counts: Floats) -> tuple[Floats, Floats]:
    shape = np.broadcast_shapes(values.shape, counts.shape)
    worst = np.zeros((*shape[:-1], 1))
    values = np.concatenate([worst, np.broadcast_to(values, shape)], axis=-1)
    return values, np.concatenate([worst + 1, np.broadcast_to(counts, shape)], axis=-1)


def _ratio(shift: Floats, values: Floats, counts: Floats, total: Floats) -> Floats:
    """-2 log likelihood ratio of weights proportional to 1 / (shift + value): the likeliest of
    their mean. The smaller the shift, the more low values weigh."""
    parts = counts / (shift[..., None] + values)
    scale, moment = parts.sum(-1, keepdims=True), (parts * values).sum(-1, keepdims=True)
    # n / weight - 1 without cancellation where the shift is large
    ratio: Floats = 2 * (counts * np.log1p((values * scale - moment) / total[..., None])).sum(-1)
    return ratio


def _chi_square(alpha: float) -> float:
    return NormalDist().inv_cdf(alpha) ** 2  # as of 1 - alpha, which rounds to 1


def combine(changes: Sequence[float], bounds: Sequence[float]) -> float:
    """Return the bound for the mean of independent quantities, from each one's own bound.

    MOVER, the square-root rule of Zou and Donner (Statistics in Medicine 2008): distances from
    estimate to bound add as standard errors do. All bounds lower, or all upper, at one error.
    """
    distance = np.asarray(changes) - np.asarray(bounds)
    side = 1.0 if distance.sum() >= 0 else -1.0
    return float(np.mean(changes) - side * np.sqrt((distance**2).sum()) / len(changes))


def looks(first: int, total: int) -> list[int]:
    """Return how many items each look takes, at least one: from `first` (>= 1) on twice as many as
    before, then all `total`, where the last step at least doubles too."""
    sizes, n = [], first
    while 2 * n <= total:
        sizes.append(n)
        n *= 2
    return [*sizes, total]


def error_at(alpha: float, n: int, sizes: Sequence[int]) -> float:
    """Return the error that the look at n items may make; over all `sizes` they sum to alpha.

    Args:
        alpha: error of all looks together.
        n: items at this look, at most the last of `sizes` where there are any.
        sizes: how many items each look takes, rising.
    """
    before = max((size for size in sizes if size < n), default=0)
    return alpha * (n - before) / max([n, *sizes])
