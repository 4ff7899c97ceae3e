import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.errors import InvalidScores
from eval.intervals import PairedChange, holm, paired_change, paired_changes, wilson
from tests.eval.factories import matrix_of

scores = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=40)


def sides(pairs):
    return ({f"i{k}": pair[side] for k, pair in enumerate(pairs)} for side in (0, 1))


def change(lost, gained, same_right=0, same_wrong=0):
    pairs = [(1, 0)] * lost + [(0, 1)] * gained + [(1, 1)] * same_right + [(0, 0)] * same_wrong
    return paired_change(*sides(pairs))


# Newcombe 1998, Statistics in Medicine 17:857, table I, method 3.
@pytest.mark.parametrize(
    ("right", "n", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_gives_the_published_intervals(right, n, low, high):
    found = wilson(100 * right / n, n)

    assert (found.low, found.high) == pytest.approx((100 * low, 100 * high), abs=0.005)


@given(st.floats(0, 100), st.integers(1, 10**6))
def test_wilson_holds_the_accuracy_and_mirrors(accuracy, n):
    found, mirrored = wilson(accuracy, n), wilson(100 - accuracy, n)

    assert 0 <= found.low <= accuracy <= found.high <= 100
    assert found.high > found.low
    assert found.low == pytest.approx(100 - mirrored.high, abs=1e-6)


def test_one_item_says_little_and_many_say_much():
    assert wilson(100.0, 1).low == pytest.approx(20.65, abs=0.01)  # 1 / (1 + z^2)
    assert wilson(50.0, 10_000).high - 50 == pytest.approx(0.98, abs=0.001)  # 1.96 * 0.5 / 100


# Agresti, Categorical Data Analysis, approval ratings of 1,600 people asked twice: 0.59 to 0.55,
# 95 % interval of the change -0.04 +- 1.96 * 0.0095.
def test_a_published_paired_change():
    found = change(lost=150, gained=86, same_right=794, same_wrong=570)

    assert (found.change, found.n, found.lost, found.gained) == (-4.0, 1600, 150, 86)
    assert found.interval.low == pytest.approx(-5.87, abs=0.03)
    assert found.interval.high == pytest.approx(-2.13, abs=0.03)
    assert found.p_value == pytest.approx(3.7e-5, rel=0.02)


@pytest.mark.parametrize(
    ("lost", "gained", "p"),
    [
        (0, 0, 1),
        (1, 0, 1),
        (5, 5, 1),
        (9, 1, 2 * 11 / 2**10),
        (1, 9, 2 * 11 / 2**10),
        (6, 0, 2 / 2**6),
    ],
)
def test_mcnemar_is_exact(lost, gained, p):
    assert change(lost, gained, 30, 30).p_value == pytest.approx(p, rel=1e-9)


def test_mcnemar_agrees_with_whole_number_arithmetic():
    for n, fewer in itertools.product((7, 60, 333), (0, 1, 3)):
        tail = sum(Fraction(math.comb(n, k), 2**n) for k in range(fewer + 1))
        assert change(n - fewer, fewer).p_value == pytest.approx(float(2 * tail), rel=1e-9)
    assert change(2000, 20_000).p_value == 0.0  # far below the smallest float, and no overflow


def test_soft_scores_of_one_size_are_tested_exactly():
    pairs = [(0.6, 0.0)] * 9 + [(0.0, 0.6)] + [(0.3, 0.3)] * 5

    found = paired_change(*sides(pairs))

    assert found.p_value == pytest.approx(2 * 11 / 2**10)
    assert (found.lost, found.gained) == (9, 1)
    assert found.change == pytest.approx(-100 * 0.6 * 8 / 15)


def test_sign_flips_agree_with_all_flips():
    differences = [0.9, -0.3, 0.6, 1.0, 0.3, -0.6, 0.3, 0.9, 0.1, -0.2, 0.4]
    pairs = [(0, d) if d > 0 else (-d, 0) for d in differences]
    observed = abs(sum(differences)) - 1e-9
    flips = list(itertools.product((1, -1), repeat=len(differences)))
    hits = sum(abs(np.dot(signs, differences)) >= observed for signs in flips)

    assert paired_change(*sides(pairs)).p_value == pytest.approx(hits / len(flips), abs=0.01)


@pytest.mark.parametrize("shift", [0.0, 0.01, 0.02, 0.03])
def test_many_soft_scores_are_tested_as_by_flips(monkeypatch, shift):
    rng = np.random.default_rng(3)
    after = {f"i{k}": x for k, x in enumerate(rng.uniform(0.2 - shift, 0.8 - shift, 3000))}
    before = {f"i{k}": x for k, x in enumerate(rng.uniform(0.2, 0.8, 3000))}
    normal = paired_change(before, after).p_value
    monkeypatch.setattr("eval.intervals._MOST_FLIPPED", 10**9)

    assert normal == pytest.approx(paired_change(before, after).p_value, abs=0.015)


def test_a_clear_loss_of_many_soft_scores_has_a_smaller_p_value_than_flips_can_show():
    sizes = np.random.default_rng(5).uniform(0.1, 0.9, 2001)

    assert paired_change(*sides([(d, 0.0) for d in sizes])).p_value < 1e-9
    assert paired_change(*sides([(d, 0.0) for d in sizes[1:]])).p_value == 1 / 10_001


def test_soft_tests_are_not_alarmed_by_chance_and_see_what_is_there():
    draw = np.random.default_rng(3)
    levels = np.array([0, 0.3, 0.6, 0.9, 1.0])
    quiet = seen = 0
    for _ in range(200):
        before, after = draw.choice(levels, 150), draw.choice(levels, 150)
        quiet += paired_change(*sides(list(zip(before, after, strict=True)))).p_value < 0.05
        worse = np.where(draw.random(150) < 0.3, 0.0, before)
        seen += paired_change(*sides(list(zip(before, worse, strict=True)))).p_value < 0.05
    assert quiet <= 20  # 10 are expected; more than 20 happen once in a thousand times
    assert seen == 200


@given(scores)
def test_a_change_lies_in_its_interval_and_mirrors(pairs):
    before, after = sides(pairs)
    there, back = paired_change(before, after), paired_change(after, before)

    assert -100 <= there.interval.low <= there.change + 1e-9
    assert there.change - 1e-9 <= there.interval.high <= 100
    assert there.interval.low == pytest.approx(-back.interval.high, abs=1e-9)
    assert (there.lost, there.gained) == (back.gained, back.lost)
    assert there.p_value == pytest.approx(back.p_value, abs=0.03)
    assert 0 < there.p_value <= 1
    assert PairedChange.model_validate_json(there.model_dump_json()) == there


def test_no_change_and_one_item_are_not_certain():
    assert change(0, 0, 100, 100).interval.low == pytest.approx(
        -1.373, abs=0.01
    )  # 1.96 sqrt(2)/202
    one = change(1, 0)
    assert (one.change, one.p_value, one.n) == (-100.0, 1.0, 1)
    assert one.interval.low == -100
    assert one.interval.high > 70


@pytest.mark.parametrize("n", [10, 30, 60])
@pytest.mark.parametrize(("lost", "gained"), [(0.02, 0.02), (0.1, 0.05), (0.3, 0.1), (0.5, 0.4)])
def test_the_paired_interval_covers_the_truth(n, lost, gained):
    covered = 0.0
    truth = 100 * (gained - lost)
    for down in range(n + 1):
        for up in range(n + 1 - down):
            same = n - down - up
            ways = math.comb(n, down) * math.comb(n - down, up)
            chance = ways * lost**down * gained**up * (1 - lost - gained) ** same
            if chance > 1e-6:
                found = change(down, up, same).interval
                covered += chance * (found.low <= truth <= found.high)
    assert covered >= 0.93


def test_versions_must_be_asked_the_same_items():
    some = {"a": 1.0, "b": 0.0}

    assert paired_change(some, {**some, "c": 1.0}).n == 2  # a larger budget keeps the items
    with pytest.raises(InvalidScores, match="0 items are common, 2 were"):
        paired_change(some, {"x": 1.0})
    with pytest.raises(InvalidScores, match="1 items are common, 1 were scored before only and 1"):
        paired_change(some, {"a": 1.0, "x": 1.0})
    with pytest.raises(InvalidScores, match="0 items are common"):
        paired_change({}, {})


@pytest.mark.parametrize("score", [float("nan"), -0.1, 1.1, float("inf")])
def test_a_score_outside_its_range_is_refused(score):
    with pytest.raises(InvalidScores, match=r"item b has score .*: scores lie in 0\.\.1"):
        paired_change({"a": 1.0, "b": 1.0}, {"a": 1.0, "b": score})


def test_holm_by_hand():
    p_values = {"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005}

    adjusted = holm(p_values)

    assert list(adjusted) == ["a", "b", "c", "d"]
    assert adjusted == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02})
    assert holm({"one": 0.2}) == {"one": 0.2}
    assert holm({}) == {}


@given(st.lists(st.floats(0, 1), max_size=20))
def test_holm_lies_between_the_p_value_and_bonferroni_and_keeps_the_order(p_values):
    named = {str(k): p for k, p in enumerate(p_values)}

    adjusted = holm(named)

    for name, p in named.items():
        assert p <= adjusted[name] <= min(1.0, p * len(named)) + 1e-12
    ranked = sorted(named, key=named.__getitem__)
    assert [adjusted[n] for n in ranked] == sorted(adjusted.values())


@pytest.mark.parametrize("p", [float("nan"), -0.1, 1.5])
def test_holm_refuses_what_is_no_p_value(p):
    with pytest.raises(InvalidScores, match=r"p-values lie in 0\.\.1"):
        holm({"a": p})


def test_many_tasks_are_corrected_together():
    before, after = sides([(1, 0)] * 9 + [(0, 1)] + [(1, 1)] * 90)
    same = {"i": 1.0}

    found = paired_changes(
        {"lossy": before, "same": same, "other": same},
        {"lossy": after, "same": same, "other": same, "new": {}},
    )

    assert list(found) == ["lossy", "same", "other"]
    assert found["lossy"].p_adjusted == pytest.approx(3 * found["lossy"].p_value)
    assert found["same"].p_adjusted == 1.0
    with pytest.raises(InvalidScores, match=r"tasks \['same'\] have no scores"):
        paired_changes({"same": same}, {})


def reach(weights, cells, n):
    """MOVER from its formulas: squared reaches of independent numbers add up."""
    below = above = 0.0
    for weight, accuracy in zip(weights, cells, strict=True):
        limits = sorted((weight * wilson(accuracy, n).low, weight * wilson(accuracy, n).high))
        below += (weight * accuracy - limits[0]) ** 2
        above += (limits[1] - weight * accuracy) ** 2
    return math.sqrt(below), math.sqrt(above)


def test_summary_intervals_against_their_formulas():
    a, n = [[80.0], [60.0, 90.0], [50.0, 70.0, 100.0]], 40
    found = matrix_of(["t1", "t2", "t3"], a, n=n).estimates()

    third = 1 / 3
    cases = {
        "mft": ([third] * 3, [80, 90, 100]),
        "mfn": ([third] * 3, [50, 70, 100]),
        "bwt": ([third, third, -third, -third], [50, 70, 80, 90]),
        "bwt_t_minus_1": ([0.5, 0.5, -0.5, -0.5], [50, 70, 80, 90]),
        "forgetting_last": ([-0.5, -0.5, 0.5, 0.5], [50, 70, 80, 90]),
    }
    for name, (weights, cells) in cases.items():
        low, high = reach(weights, cells, n)
        assert found[name].points - found[name].interval.low == pytest.approx(low)
        assert found[name].interval.high - found[name].points == pytest.approx(high)


def test_summary_intervals_cover_the_truth_of_items_asked_again_at_every_stage():
    draw = np.random.default_rng(11)
    size, n, rounds = 4, 80, 400
    truth = [[90.0], [75.0, 85.0], [70.0, 70.0, 95.0], [60.0, 65.0, 90.0, 80.0]]
    tasks = [f"t{k}" for k in range(size)]
    true = matrix_of(tasks, truth, n=n).summaries()
    covered = dict.fromkeys(true, 0)
    for _ in range(rounds):
        hardness = draw.random((size, n))  # of the items: what makes stages move together
        noise = draw.random((size, size, n))
        shared = draw.random((size, size, n)) < 0.7
        drawn = np.where(shared, hardness[None], noise)
        rows = [
            [100 * float((drawn[j, i] < truth[j][i] / 100).mean()) for i in range(j + 1)]
            for j in range(size)
        ]
        for name, found in matrix_of(tasks, rows, n=n).estimates().items():
            covered[name] += found.interval.low <= true[name] <= found.interval.high
    assert min(covered.values()) >= 0.93 * rounds
