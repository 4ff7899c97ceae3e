import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from eval.errors import InvalidGateInput
from eval.gate import GatePolicy, GateVerdict, judge, judge_last
from eval.matrix import Cell, MatrixRow
from tests.eval.factories import matrix_of, three_tasks, upto


def row(version, task=None, n=200, metric="exact_match", **points):
    cells = {name: Cell(accuracy=value, n=n, metric=metric) for name, value in points.items()}
    return MatrixRow(version=version, task=task, cells=cells)


def verdict(before, now, old=("a", "b"), n=200, **policy):
    parent, child = row("s@2", "b", n, **before), row("s@3", "c", n, **now)
    return judge(child, parent, GatePolicy(**policy), old)


def test_a_first_task_has_nothing_to_lose():
    first = judge_last(upto(three_tasks(), 1), GatePolicy())

    assert first.outcome == "pass"
    assert first.checks == ()
    assert "first task" in first.explanation


def test_small_losses_pass_and_the_lowest_change_is_told():
    result = verdict({"a": 80, "b": 70}, {"a": 77, "b": 72})

    assert result.outcome == "pass"
    assert [check.measured for check in result.checks] == [-3, 2, -0.5]
    assert "'a' changed by -3.0 points, from 80.0 to 77.0 (n=200, limit -5.0)" in result.explanation


def test_one_task_that_lost_too_much_blocks_with_numbers_and_a_way_out():
    result = verdict({"a": 80, "b": 70}, {"a": 90, "b": 60})

    assert result.outcome == "block"
    failed = [check for check in result.checks if check.outcome == "block"]
    assert [(c.name, c.task, c.measured, c.limit, c.n) for c in failed] == [
        ("task_change", "b", -10, -5, 200)
    ]
    assert "'b' changed by -10.0 points, from 70.0 to 60.0 (n=200" in result.explanation
    assert "override with a reason" in result.explanation


def test_the_mean_alone_can_block():
    result = verdict({"a": 80, "b": 70}, {"a": 76, "b": 66}, max_mean_drop=3)

    assert result.outcome == "block"
    assert [c.name for c in result.checks if c.outcome == "block"] == ["mean_change"]
    assert "The mean over 2 old tasks changed by -4.0 points (n=400" in result.explanation


def test_a_drop_equal_to_the_allowance_passes():
    assert verdict({"a": 80.3, "b": 70}, {"a": 75.3, "b": 70}).outcome == "pass"
    assert verdict({"a": 80.3, "b": 70}, {"a": 75.29, "b": 70}).outcome == "block"


def test_too_few_items_never_decide():
    result = verdict({"a": 80, "b": 70}, {"a": 20, "b": 90}, n=49)

    assert result.outcome == "need_more_samples"
    assert "'a' has n=49, at least 50 are needed" in result.explanation
    assert "evaluation limit" in result.explanation


def test_a_clear_loss_blocks_although_another_task_has_too_few_items():
    parent = row("s@2", "b", a=80, b=70)
    few = Cell(accuracy=70, n=10, metric="exact_match")
    child = MatrixRow(version="s@3", task="c", cells={"a": row("x", a=60).cells["a"], "b": few})

    result = judge(child, parent, GatePolicy(), ["a", "b"])

    assert [check.outcome for check in result.checks] == [
        "block",
        "need_more_samples",
        "need_more_samples",
    ]
    assert result.outcome == "block"


def test_many_losses_are_told_in_short():
    names = [f"t{k}" for k in range(6)]
    before, now = dict.fromkeys(names, 80.0), dict.fromkeys(names, 60.0)

    text = verdict(before, now, old=names).explanation

    assert text.count("changed by") == 4  # three tasks and the mean
    assert "3 more old tasks likewise" in text


def test_the_new_and_the_future_tasks_are_not_judged():
    result = verdict({"a": 80, "c": 90}, {"a": 80, "c": 10}, old=["a"])

    assert result.outcome == "pass"


def test_a_matrix_is_judged_against_its_previous_row():
    result = judge_last(three_tasks(), GatePolicy(max_drop_per_task=10))

    assert (result.version, result.parent, result.outcome) == ("demo@3", "demo@2", "block")


def test_the_base_is_not_judged():
    with pytest.raises(InvalidGateInput, match="base has no parent"):
        judge_last(upto(three_tasks(), 0), GatePolicy())


def test_a_missing_cell_is_named_instead_of_passing():
    with pytest.raises(InvalidGateInput, match=r"s@3 was not measured on the old task 'b'"):
        verdict({"a": 80, "b": 70}, {"a": 80})


def test_two_metrics_cannot_be_compared():
    parent, child = row("s@1", "a", a=80), row("s@2", "b", metric="vqa_soft", a=80)

    with pytest.raises(InvalidGateInput, match=r"'vqa_soft'.*'exact_match'"):
        judge(child, parent, GatePolicy(), ["a"])


@pytest.mark.parametrize(
    "wrong",
    [{"max_drop_per_task": -1}, {"min_samples": 0}, {"max_drop": 5}, {"max_mean_drop": 101}],
)
def test_a_wrong_policy_is_refused(wrong):
    with pytest.raises(ValidationError):
        GatePolicy(**wrong)


def test_json_round_trip():
    result = judge_last(three_tasks(), GatePolicy())

    assert GateVerdict.model_validate_json(result.model_dump_json()) == result


@given(
    st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100), st.integers(1, 99)), min_size=1),
    st.floats(0, 100),
    st.floats(0, 100),
)
def test_a_pass_means_that_every_task_and_the_mean_hold(pairs, per_task, mean):
    names = [f"t{k}" for k in range(len(pairs))]
    parent, child = (
        MatrixRow(
            version=f"s@{side}",
            cells={
                name: Cell(accuracy=pair[side], n=pair[2], metric="iou")
                for name, pair in zip(names, pairs, strict=True)
            },
        )
        for side in (0, 1)
    )
    policy = GatePolicy(max_drop_per_task=per_task, max_mean_drop=mean)
    drops = [before - now for before, now, _ in pairs]
    enough = all(n >= 50 for _, _, n in pairs)
    held = max(drops) <= per_task + 1e-9 and sum(drops) / len(drops) <= mean + 1e-9

    outcome = judge(child, parent, policy, names).outcome

    assert (outcome == "pass") == (enough and held)
    if enough and not held:
        assert outcome == "block"


def test_the_verdict_of_a_matrix_needs_only_its_last_two_rows():
    sparse = matrix_of(["a", "b"], [[80.0], [79.0, 60.0]], n=100)

    assert judge_last(sparse, GatePolicy()).outcome == "pass"
