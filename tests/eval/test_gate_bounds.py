"""Bounds and looks of the gate: hand-computed cases, algebra, and how often they are wrong."""

from __future__ import annotations

from itertools import pairwise
from math import log, sqrt
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.sequential import combine, error_at, looks, lower_bounds


def alpha_of(ratio: float) -> float:
    """Return the one-sided error whose squared normal quantile is a likelihood ratio."""
    return 1 - NormalDist().cdf(sqrt(ratio))


def bound(values, alpha=0.05):
    return float(lower_bounds(values, np.ones(len(values)), alpha))


@pytest.mark.parametrize(("right", "n", "p"), [(90, 100, 0.8), (7, 10, 0.5), (20, 20, 0.9)])
def test_right_and_wrong_answers_with_one_more_wrong_give_the_binomial_ratio(right, n, p):
    mean = right / (n + 1)
    ratio = 2 * (right * log(mean / p) + (n + 1 - right) * log((1 - mean) / (1 - p)))

    lower = lower_bounds([0.0, 1.0], [n - right, right], alpha_of(ratio))

    assert lower == pytest.approx(p, abs=1e-9)


def test_no_change_at_all_is_bounded_by_one_item_that_would_have_lost_everything():
    n, lost = 74, 0.04
    ratio = -2 * (log((n + 1) * lost) + n * log((n + 1) * (1 - lost) / n))

    lower = lower_bounds([0.5], [n], alpha_of(ratio))  # 0.5: a change of 0 on the scale [0, 1]

    assert 2 * lower - 1 == pytest.approx(-lost, abs=1e-9)


@pytest.mark.parametrize("n", [10, 74, 200, 1000])
def test_no_loss_in_n_items_claims_no_more_than_the_exact_binomial_bound(n):
    assert float(lower_bounds([1.0], [n], 0.05)) < 0.05 ** (1 / n)


def test_all_lost_bounds_nothing_and_an_error_of_one_half_is_the_mean_with_the_worst_item():
    assert bound([0.0] * 5) == 0
    assert bound([0.2, 0.7, 0.9], alpha=0.5) == pytest.approx((0.2 + 0.7 + 0.9) / 4)


def test_an_error_that_is_nothing_beside_1_still_bounds():
    assert 0 < bound([1.0] * 50, alpha=1e-17) < bound([1.0] * 50, alpha=1e-4)


def test_bounds_of_many_at_once_are_those_of_each():
    counts = np.array([[3, 90, 7], [0, 50, 0]])

    together = lower_bounds([0.0, 0.5, 1.0], counts, [0.05, 0.01])

    assert together == pytest.approx(
        [
            float(lower_bounds([0.0, 0.5, 1.0], counts[0], 0.05)),
            float(lower_bounds([0.5], [50], 0.01)),
        ]
    )


scores = st.lists(st.floats(0, 1), min_size=1, max_size=12)
ROUNDING = 1e-12
"""More than the error of a ratio summed in floats: weights 1e-8 from equal ones sum to 0 or less,
though they are less likely, and their mean is 1e-8 away."""


@given(scores, st.floats(0.001, 0.5), st.randoms(use_true_random=False))
def test_a_bound_lies_below_every_mean_that_is_as_likely(values, alpha, random):
    lower, n = bound(values, alpha), len(values) + 1
    limit = NormalDist().inv_cdf(1 - alpha) ** 2
    weights = np.array([random.random() + 0.05 for _ in range(n)])
    weights /= weights.sum()
    if -2 * np.log(n * weights).sum() <= limit - ROUNDING:
        assert lower <= float(weights @ [0.0, *values]) + 1e-9


@given(scores, st.floats(0.001, 0.5), st.data())
def test_a_score_that_falls_never_raises_a_bound(values, alpha, data):
    at = data.draw(st.integers(0, len(values) - 1))
    worse = [*values]
    worse[at] = data.draw(st.floats(0, values[at]))

    assert bound(worse, alpha) <= bound(values, alpha) + 1e-9


@given(scores, st.floats(0.001, 0.5), st.randoms(use_true_random=False))
def test_order_plays_no_role_and_less_error_means_a_lower_bound(values, alpha, random):
    lower = bound(values, alpha)
    random.shuffle(values)

    assert bound(values, alpha) == pytest.approx(lower, abs=1e-9)
    assert bound(values, alpha / 2) <= lower + 1e-9


@pytest.mark.parametrize("n", [50, 200, 1000])
@pytest.mark.parametrize("discordance", [0.041, 0.1, 0.25])
@pytest.mark.parametrize("alpha", [0.05, 0.01])
def test_a_bound_is_wrong_no_more_often_than_it_says(n, discordance, alpha):
    truth, draws = -0.04, 4000
    shares = [(discordance - truth) / 2, 1 - discordance, (discordance + truth) / 2]
    counts = np.random.default_rng(7).multinomial(n, shares, size=draws)

    lower = 2 * lower_bounds([0.0, 0.5, 1.0], counts, np.full(draws, alpha)) - 1
    upper = 1 - 2 * lower_bounds([1.0, 0.5, 0.0], counts, np.full(draws, alpha))

    noise = 3 * sqrt(alpha * (1 - alpha) / draws)
    assert (lower > truth).mean() <= alpha + noise
    assert (upper < truth).mean() <= alpha + noise


def test_distances_to_bounds_add_as_standard_errors_do():
    assert combine([1.0, 2.0], [1.0 - 3, 2.0 - 4]) == pytest.approx(1.5 - 5 / 2)
    assert combine([1.0, 2.0], [1.0 + 3, 2.0 + 4]) == pytest.approx(1.5 + 5 / 2)
    assert combine([0.3], [0.1]) == pytest.approx(0.1)


def test_looks_double_and_the_last_step_at_least_doubles():
    assert looks(200, 5000) == [200, 400, 800, 1600, 5000]
    assert looks(200, 6400) == [200, 400, 800, 1600, 3200, 6400]
    assert looks(200, 400) == [200, 400]
    assert looks(200, 399) == [399]
    assert looks(200, 120) == [120]


@given(st.integers(1, 500), st.integers(1, 20_000), st.floats(0.001, 0.5))
def test_all_looks_together_spend_the_error_and_end_at_the_total(first, total, alpha):
    taken = looks(first, total)

    assert taken[-1] == total
    assert all(after >= 2 * before for before, after in pairwise(taken))
    assert sum(error_at(alpha, n, taken) for n in taken) == pytest.approx(alpha)


def test_a_look_gets_what_was_added_since_the_one_before():
    assert error_at(0.05, 200, [200, 400, 5000]) == pytest.approx(0.05 * 200 / 5000)
    assert error_at(0.05, 400, [200, 400, 5000]) == pytest.approx(0.05 * 200 / 5000)
    assert error_at(0.05, 5000, [200, 400, 5000]) == pytest.approx(0.05 * 4600 / 5000)
    assert error_at(0.05, 5000, [5000]) == pytest.approx(0.05)
    assert error_at(0.05, 30, []) == pytest.approx(0.05)
