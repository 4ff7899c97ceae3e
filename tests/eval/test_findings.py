import pytest

from eval.findings import (
    bracketed,
    change_in_words,
    clear_change,
    findings,
    in_cases,
    signed,
)
from eval.forgetting import task_changes
from eval.intervals import paired_changes
from eval.pooling import pooled_superficial
from eval.report import build_report
from tests.eval.factories import matrix_of, three_tasks, upto, verdict_of
from tests.eval.test_plots import split


def scores(right, n=200):
    return {f"i{k}": float(k < right) for k in range(n)}


def told(matrix=None, paired=None, **fields):
    matrix = matrix or three_tasks()
    verdict = verdict_of(matrix)
    changes = task_changes(matrix, paired)
    return findings(build_report(matrix, verdict, changes=changes, **fields))


def test_a_clear_loss_is_named_with_interval_and_n():
    found = told()

    assert found.lost == (
        "1 of 2 old tasks lost clearly against demo@2: science -17.5 points (-25.1 to -9.7, n=200)."
    )
    assert found.gate.startswith("demo@3")


def test_without_a_clear_loss_the_lowest_change_is_told():
    quiet = matrix_of(["a", "b"], [[80.0], [79.0, 60.0]], [5.0, 5.0], n=200)

    found = told(quiet)

    assert found.lost.startswith("No old task lost more against stream@1 than chance explains.")
    assert "1 old task is a -1.0 points" in found.lost
    assert "n=200" in found.lost


def test_a_first_task_has_nothing_to_lose():
    found = told(upto(three_tasks(), 1))

    assert found.lost == "No old task was compared with the parent, so no loss can show."
    assert found.style is None
    assert found.advice == "Nothing: no clear loss was found."


@pytest.mark.parametrize(
    ("now", "style", "way"),
    [
        (40, "mostly style went", "answer style diversification"),
        (0, "mostly knowledge went", "more protection"),
        (20, "cannot be told yet", "Where knowledge went"),
    ],
)
def test_what_to_do_follows_from_what_was_lost(now, style, way):
    found = told(splits=[split(now=now)])

    assert style in found.style
    assert "40 of 40 were asked again" in found.style
    assert way in found.advice


def test_losses_that_were_not_asked_again_are_to_be():
    found = told()

    assert found.style == "Not measured: no lost answer was asked again."
    assert found.advice.startswith("Have the lost answers asked again")
    assert told(splits=[split(lost=0, probed=0)]).style.startswith("No answer was lost")
    assert told(splits=[split(probed=0)]).style.startswith("Cannot be told: of 40 lost answers")


def test_a_loss_within_the_policy_has_to_be_followed_by_nothing():
    matrix = three_tasks()
    generous = verdict_of(matrix).model_copy(update={"outcome": "pass"})

    found = findings(build_report(matrix, generous, changes=task_changes(matrix)))

    assert "lost clearly" in found.lost
    assert found.advice.startswith("Nothing has to be done: the losses are within the policy. Have")


def test_a_change_that_is_clear_only_by_itself_is_explained():
    names = [f"t{k}" for k in range(9)]
    before = {name: scores(100) for name in names}
    now = before | {"t3": {**before["t3"], **{f"i{k}": 0.0 for k in range(6)}}}
    changes = task_changes(
        matrix_of(
            [*names, "last"],
            [[50.0] * k for k in range(1, 10)] + [[50.0] * 3 + [47.0] + [50.0] * 6],
            [5.0] * 10,
            n=200,
        ),
        paired_changes(before, now),
    )
    report = build_report(three_tasks(), None).model_copy(update={"changes": tuple(changes)})

    found = findings(report)

    assert found.lost.startswith("No old task lost more")
    assert found.lost.endswith("but among 9 tasks compared chance explains it.")


def test_an_undecided_gate_wants_more_items():
    few = matrix_of(["a", "b"], [[80.0], [70.0, 60.0]], [5.0, 5.0], n=60)

    found = told(few)

    assert found.advice.startswith(("Ask more items", "Nothing"))
    assert clear_change(task_changes(few)[0]) is None


def test_pooled_shares_weigh_by_what_each_task_lost():
    all_style, no_style = split("a", lost=30, now=40), split("b", lost=10, now=0)

    pooled = pooled_superficial([all_style, no_style, split("c", lost=5, probed=0)])

    assert pooled.percent == pytest.approx(75)
    assert (pooled.n, pooled.lost, pooled.num_tasks) == (80, 40, 2)
    assert 60 < pooled.interval.low < 75 < pooled.interval.high < 80
    assert pooled_superficial([]) is None
    alone = pooled_superficial([split(now=30)])
    assert alone.interval.low == pytest.approx(split(now=30).superficial.low)


def test_a_paired_change_is_told_in_counts_and_frequencies():
    paired = paired_changes(
        {"classes": scores(128), "science": scores(177)},
        {"classes": scores(127), "science": scores(142)},
    )

    classes, science, counts = task_changes(three_tasks(), paired)

    assert change_in_words(science) == (
        "clear loss: 35 worse, 0 better of 200 (by chance less than once in 1,000 times)"
    )
    assert change_in_words(classes) == (
        "no clear change: 1 worse, 0 better of 200 (by chance most of the time)"
    )
    assert change_in_words(counts) == "learned now; the parent was not asked"


def test_where_items_are_paired_their_change_is_told_not_that_of_the_cells():
    paired = paired_changes({"science": scores(100, 400)}, {"science": scores(60, 400)})

    assert "science -10.0 points (-13" in told(paired=paired).lost  # the cells': -17.5
    assert "n=400" in told(paired=paired).lost


def test_a_change_of_cells_is_told_by_its_interval():
    classes, science, _ = task_changes(three_tasks())

    assert change_in_words(science) == "clear loss: the interval excludes 0"
    assert change_in_words(classes) == "no clear change: the interval holds 0"


def test_a_gain_is_clear_too():
    change = task_changes(
        three_tasks(), paired_changes({"science": scores(0)}, {"science": scores(9)})
    )

    assert change[1].paired.p_value < 0.01
    assert change_in_words(change[1].model_copy(update={"since_parent": 4.5})).startswith(
        "clear gain"
    )


@pytest.mark.parametrize(
    ("p_value", "text"),
    [
        (0.0, "less than once in 1,000 times"),
        (0.0009, "less than once in 1,000 times"),
        (0.004, "4 in 1,000 times"),
        (0.03, "3 in 100 times"),
        (0.5, "50 in 100 times"),
        (1.0, "most of the time"),
    ],
)
def test_p_values_are_frequencies(p_value, text):
    assert in_cases(p_value) == text


def test_numbers_are_written_one_way():
    assert (signed(-0.04), signed(2.25), signed(-17.5)) == ("+0.0", "+2.2", "-17.5")
    assert bracketed(None, None, 3) == "-"
    assert bracketed(-1.0, None, 3) == "-1.0 (n=3)"
