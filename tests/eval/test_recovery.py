import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.recovery import recovery_of


def counts(n, now, before):
    return recovery_of([k < now for k in range(n)], [k < before for k in range(n)])


def test_golden_shares():
    # 30 of 40 come back, 10 of 40 by chance: (0.75 - 0.25) / (1 - 0.25) = 2/3. Wilson's limits of
    # 30/40 are 59.81 and 85.81 (R: prop.test(30, 40, correct = FALSE)), of 10/40 their mirror.
    found = counts(40, 30, 10)

    assert (found.n, found.now, found.before) == (40, 30, 10)
    assert (found.raw.low, found.raw.high) == pytest.approx((59.81, 85.81), abs=0.01)
    assert (found.chance.low, found.chance.high) == pytest.approx((14.19, 40.19), abs=0.01)
    assert found.corrected.percent == pytest.approx(200 / 3)
    # by hand: down = hypot(75 - 59.81 over 0.75, 66.67 - (75 - 40.19) / 0.5981)
    down = math.hypot(15.19 / 0.75, 200 / 3 - 34.81 / 0.5981)
    up = math.hypot(10.81 / 0.75, 60.81 / 0.8581 - 200 / 3)
    assert found.corrected.low == pytest.approx(200 / 3 - down, abs=0.02)
    assert found.corrected.high == pytest.approx(200 / 3 + up, abs=0.02)


def test_nothing_asked_is_no_zero():
    found = recovery_of([], [])

    assert found.n == 0
    assert found.raw is found.chance is found.corrected is None


def test_where_chance_brings_back_everything_nothing_can_be_told():
    found = counts(5, 5, 5)

    assert found.raw.percent == found.chance.percent == 100
    assert found.corrected is None


def test_worse_than_chance_is_zero_and_no_negative_share():
    found = counts(20, 2, 10)

    assert found.corrected.percent == 0
    assert found.corrected.low == 0
    assert found.corrected.high == found.raw.high


def test_few_items_never_leave_an_interval_without_width():
    for n, now, before in product((1, 3, 9), range(10), range(10)):
        corrected = counts(n, min(now, n), min(before, n)).corrected
        assert corrected is None or corrected.high - corrected.low > 5


def test_outcomes_must_be_paired():
    with pytest.raises(ValueError, match="got 2 now and 1 before"):
        recovery_of([True, False], [True])


@given(st.integers(1, 300).flatmap(lambda n: st.tuples(st.just(n), *[st.integers(0, n)] * 2)))
def test_shares_lie_in_their_intervals_and_move_the_right_way(case):
    n, now, before = case
    found = counts(*case)

    for share in (found.raw, found.chance, found.corrected):
        if share is not None:
            assert 0 <= share.low <= share.percent <= share.high <= 100
            assert share.rest().rest().percent == pytest.approx(share.percent)
    if found.corrected and now < n:
        more = counts(n, now + 1, before).corrected
        assert more.percent >= found.corrected.percent
    if before == 0:
        assert found.corrected.percent == pytest.approx(found.raw.percent)


def test_the_interval_covers_the_truth():
    rng = np.random.default_rng(0)
    for n, share, chance in product((20, 64), (0.0, 0.1, 0.5, 0.9, 1.0), (0.05, 0.3, 0.6)):
        held = []
        for _ in range(300):
            hidden = rng.random(n) < share
            now, before = (hidden | (rng.random(n) < chance), rng.random(n) < chance)
            found = recovery_of(now.tolist(), before.tolist()).corrected
            if found is not None:
                held.append(found.low - 1e-9 <= 100 * share <= found.high + 1e-9)
        # nominal 95 %; 0.91 is three standard errors of 300 draws below
        assert np.mean(held) >= 0.91, (n, share, chance)
