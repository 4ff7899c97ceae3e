import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from eval.errors import InvalidMatrix, MatrixHole
from eval.intervals import paired_change, wilson
from eval.matrix import SUMMARY_MEANINGS, AccuracyMatrix, Cell, MatrixRow
from eval.summaries import NEEDS_FUTURE_TASKS
from tests.bench.eval_tables import COIN, MTIL_ZSCL, figures, largest_error
from tests.eval.factories import matrix_of, three_tasks

LOWER = [name for name in SUMMARY_MEANINGS if name not in NEEDS_FUTURE_TASKS]


def of(rows, zero_shot=(), n=2000):
    tasks = [f"t{k}" for k in range(1, len(rows) + 1)]
    return matrix_of(tasks, rows, zero_shot, n=n)


@pytest.mark.parametrize(
    "figure", list(figures()), ids=lambda figure: f"{figure.table} {figure.name}"
)
def test_published_figures_are_reproduced(figure):
    assert figure.error <= 0.01


def test_all_published_tables_are_within_a_hundredth():
    assert len(list(figures())) == 5 + 3 + 1 + 2 + 2 * len(COIN)
    assert 0 < largest_error() <= 0.01


def test_the_published_transfer_average_and_last_of_each_task():
    # As printed beside the matrix: per task, from the second for Transfer, the first for Avg.
    transfer = [88.3, 57.5, 84.7, 68.1, 64.8, 21.1, 88.2, 45.3, 55.2, 68.2]
    average = [81.7, 91.3, 91.1, 91.0, 82.9, 72.5, 33.6, 89.7, 53.3, 62.8, 69.9]
    matrix = of(MTIL_ZSCL)

    assert matrix.estimate("transfer").points == pytest.approx(statistics.mean(transfer), abs=0.05)
    assert matrix.estimate("average").points == pytest.approx(statistics.mean(average), abs=0.05)


def naive(a, size):
    """The summaries written from their formulas: a[t][i] with i from 1, None for a hole."""
    tasks = range(1, size + 1)
    result = {
        "mft": sum(a[i][i] for i in tasks) / size,
        "mfn": sum(a[size][i] for i in tasks) / size,
        "maa": sum(sum(a[j][i] for i in range(1, j + 1)) / j for j in tasks) / size,
        "bwt": sum(a[size][i] - a[i][i] for i in tasks) / size,
    }
    result["last"] = result["mfn"]
    old = range(1, size)
    if size == 1:
        result |= {"bwt_t_minus_1": 0.0, "forgetting_last": 0.0, "forgetting_max": 0.0}
    else:
        result["bwt_t_minus_1"] = result["bwt"] * size / (size - 1)
        result["forgetting_last"] = -result["bwt_t_minus_1"]
        best = {i: sorted(a[stage][i] for stage in range(i, size))[-1] for i in old}
        result["forgetting_max"] = sum(best[i] - a[size][i] for i in old) / (size - 1)
    later = range(2, size + 1)
    before = [a[i - 1][i] for i in later] + [a[0][i] for i in later]
    if later and None not in before:
        result["forward_transfer"] = sum(a[i - 1][i] - a[0][i] for i in later) / len(later)
    upper = [a[j][i] for i in later for j in range(1, i)]
    if None not in upper:
        if later:
            columns = [[a[j][i] for j in range(1, i)] for i in later]
            result["transfer"] = statistics.fmean(statistics.fmean(c) for c in columns)
        whole = [a[j][i] for i in tasks for j in tasks]
        result["average"] = statistics.fmean(whole)
    return result


def test_ten_thousand_random_matrices_agree_with_a_naive_second_implementation():
    draw = random.Random(20)
    seen = dict.fromkeys(SUMMARY_MEANINGS, 0)
    for _ in range(10_000):
        size, future = draw.randint(1, 6), draw.randint(0, 2)
        share = draw.choice([0.0, 0.1, 1.0])  # of holes above the diagonal and in row 0
        a = [
            [None]
            + [
                draw.choice([0.0, 100.0, draw.uniform(0, 100)])
                if t >= i > 0 or draw.random() >= share
                else None
                for i in range(1, size + future + 1)
            ]
            for t in range(size + 1)
        ]
        tasks = [f"t{i}" for i in range(1, size + future + 1)]
        matrix = matrix_of(tasks, [row[1:] for row in a[1:]], a[0][1:], n=draw.randint(1, 500))

        expected = naive(a, size)
        assert matrix.summaries() == pytest.approx(expected, abs=1e-9)
        for name in expected:
            seen[name] += 1
    assert min(seen.values()) > 1_000  # each of them was compared, each was absent at times
    assert all(seen[name] < 10_000 for name in NEEDS_FUTURE_TASKS)


triangles = st.integers(1, 7).flatmap(
    lambda size: st.tuples(
        *(st.lists(st.floats(0, 100), min_size=k, max_size=k) for k in range(1, size + 1))
    )
)


@given(triangles)
def test_bwt_over_t_is_mfn_minus_mft(rows):
    matrix = of(rows)

    found = matrix.summaries()
    assert found["bwt"] == pytest.approx(found["mfn"] - found["mft"], abs=1e-9)


def test_every_summary_has_a_meaning_that_names_its_divisor():
    full = of([[1.0, 2.0], [3.0, 4.0]], [5.0, 6.0])

    assert list(full.summaries()) == list(SUMMARY_MEANINGS)
    assert "divided by T (" in SUMMARY_MEANINGS["bwt"]
    assert "divided by T - 1" in SUMMARY_MEANINGS["bwt_t_minus_1"]


def test_one_task_has_forgotten_nothing():
    summaries = of([[80.0]]).summaries()

    assert summaries["bwt"] == summaries["bwt_t_minus_1"] == summaries["forgetting_max"] == 0.0


def test_the_base_alone_has_no_summaries():
    matrix = AccuracyMatrix(tasks=("t1",), rows=(MatrixRow(version="s@0"),))

    assert matrix.summaries() == {}
    assert matrix.estimates() == {}
    with pytest.raises(MatrixHole, match="mft needs 1 learned tasks: s@0 has learned 0"):
        matrix.estimate("mft")


def test_a_hole_that_a_number_needs_is_named():
    matrix = of([[80.0], [70.0, 90.0], [None, 60.0, 75.0]])

    assert matrix.estimate("mft").points == pytest.approx((80 + 90 + 75) / 3)
    with pytest.raises(MatrixHole, match=r"stream@3 on task 't1'.*row 3 of 0\.\.3"):
        matrix.estimate("mfn")
    with pytest.raises(MatrixHole):
        matrix.summaries()


@pytest.mark.parametrize("hole", [(1, 1), (2, 1), (2, 2), (3, 1), (3, 2), (3, 3)])
def test_one_hole_on_or_below_the_diagonal_leaves_no_summaries_at_all(hole):
    rows = [[80.0, 1.0, 2.0], [70.0, 90.0, 3.0], [65.0, 60.0, 75.0]]
    rows[hole[0] - 1][hole[1] - 1] = None

    with pytest.raises(MatrixHole, match=f"stream@{hole[0]} on task 't{hole[1]}'"):
        of(rows, [4.0, 5.0, 6.0]).estimates()


@pytest.mark.parametrize(
    ("hole", "absent"),
    [
        ((0, 2), {"forward_transfer"}),
        ((1, 2), {"forward_transfer", "transfer", "average"}),
        ((1, 3), {"transfer", "average"}),
        ((0, 1), set()),
    ],
)
def test_a_hole_above_the_diagonal_makes_absent_what_needs_it(hole, absent):
    rows = [[4.0, 5.0, 6.0], [80.0, 1.0, 2.0], [70.0, 90.0, 3.0], [65.0, 60.0, 75.0]]
    rows[hole[0]][hole[1] - 1] = None
    matrix = of(rows[1:], rows[0])

    assert set(SUMMARY_MEANINGS) - set(matrix.summaries()) == absent
    for name in absent:
        with pytest.raises(MatrixHole, match=f"stream@{hole[0]} on task 't{hole[1]}'"):
            matrix.estimate(name)


def test_looking_ahead_needs_a_second_task():
    matrix = of([[80.0]], [10.0])

    assert {"forward_transfer", "transfer"}.isdisjoint(matrix.summaries())
    assert matrix.summaries()["average"] == 80.0
    with pytest.raises(MatrixHole, match="transfer needs 2 learned tasks: stream@1 has learned 1"):
        matrix.estimate("transfer")


def test_forward_and_zero_shot_transfer_by_hand():
    found = of([[80, 30, 20], [70, 90, 60], [65, 60, 75]], [10, 25, 40]).summaries()

    assert found["forward_transfer"] == pytest.approx(((30 - 25) + (60 - 40)) / 2)
    assert found["transfer"] == pytest.approx((30 + (20 + 60) / 2) / 2)
    assert found["average"] == pytest.approx((80 + 70 + 65 + 30 + 90 + 60 + 20 + 60 + 75) / 9)
    assert found["last"] == found["mfn"]


def test_tasks_that_are_not_learned_do_not_count():
    plain = of([[80.0, 1.0], [70.0, 90.0]], [4.0, 5.0])
    future = matrix_of(
        ["t1", "t2", "t3"], [[80.0, 1.0, 2.0], [70.0, 90.0, 3.0]], [4.0, 5.0, 6.0], n=2000
    )

    assert future.summaries() == plain.summaries()
    assert future.learned_tasks == ("t1", "t2")
    assert future.old_tasks == ("t1",)


def test_a_summary_of_one_cell_has_the_interval_of_that_cell():
    matrix = of([[80.0]], n=29)

    for name in ("mft", "mfn", "maa", "last", "average"):
        found = matrix.estimate(name)
        assert found.interval.low == pytest.approx(wilson(80.0, 29).low)
        assert found.interval.high == pytest.approx(wilson(80.0, 29).high)
        assert (found.n, found.num_tasks) == (29, 1)


def test_the_interval_of_a_mean_over_tasks_is_narrower_than_of_each():
    one, four = of([[80.0]], n=100), of([[80.0] * (k + 1) for k in range(4)], n=100)

    def reach(matrix, name):
        interval = matrix.estimate(name).interval
        return interval.high - interval.low

    assert reach(four, "mfn") == pytest.approx(reach(one, "mfn") / 2)  # independent: 1 / sqrt(4)
    assert reach(four, "maa") > reach(four, "mfn")  # stages share items: they do not average out


def test_n_counts_the_items_of_each_task_once_and_the_fewest():
    cells = {n: Cell(accuracy=50, n=n, metric="iou") for n in (10, 20, 30)}
    rows = (
        MatrixRow(version="s@0"),
        MatrixRow(version="s@1", task="a", cells={"a": cells[10]}),
        MatrixRow(version="s@2", task="b", cells={"a": cells[20], "b": cells[30]}),
    )
    matrix = AccuracyMatrix(tasks=("a", "b"), rows=rows)

    counts = {name: (e.n, e.num_tasks) for name, e in matrix.estimates().items()}
    assert counts == {
        "mft": (40, 2),
        "mfn": (50, 2),
        "last": (50, 2),
        "maa": (40, 2),
        "bwt": (10, 1),
        "bwt_t_minus_1": (10, 1),
        "forgetting_last": (10, 1),
        "forgetting_max": (10, 1),
    }


@given(triangles, st.integers(1, 1000))
def test_every_summary_lies_in_its_interval(rows, n):
    for name, found in of(rows, n=n).estimates().items():
        assert found.interval.low <= found.points <= found.interval.high
        lowest = 0 if name in ("mft", "mfn", "maa", "last") else -100
        assert found.interval.low >= lowest - 1e-9
        assert found.interval.high <= 100 + 1e-9


@pytest.mark.parametrize("n_learned", [100, 200])
def test_a_paired_change_over_other_items_than_the_cells_gives_no_interval(n_learned):
    """The cells say that all was lost, the items asked both times that nothing was."""
    cells = [Cell(accuracy=points, n=n, metric="iou") for points, n in ((100, n_learned), (0, 200))]
    rows = (
        MatrixRow(version="s@0"),
        MatrixRow(version="s@1", task="a", cells={"a": cells[0]}),
        MatrixRow(version="s@2", task="b", cells={"a": cells[1], "b": cells[1]}),
    )
    matrix = AccuracyMatrix(tasks=("a", "b"), rows=rows)
    same = {f"i{k}": 1.0 for k in range(100)}

    paired = matrix.estimates({"a": paired_change(same, same)})

    assert paired == matrix.estimates()
    assert paired["bwt_t_minus_1"].points == -100
    assert paired["bwt_t_minus_1"].interval.low == -100
    assert paired["bwt_t_minus_1"].interval.high > -99


@pytest.mark.parametrize("points", [0.0, 100.0])
def test_all_right_or_all_wrong_is_not_certain(points):
    found = of([[points], [points, points]], n=50).estimates()

    assert all(e.interval.high - e.interval.low > 1 for e in found.values())
    assert found["bwt"].points == 0.0


def test_pairs_narrow_backward_transfer_and_forgetting_only():
    before = {f"i{k}": float(k < 160) for k in range(200)}
    after = {f"i{k}": float(k < 150) for k in range(200)}
    matrix, change = of([[80.0], [75.0, 60.0]], n=200), paired_change(before, after)

    cells, pairs = matrix.estimates(), matrix.estimates({"t1": change})

    assert pairs["bwt_t_minus_1"].interval.low == pytest.approx(change.interval.low)
    assert pairs["bwt_t_minus_1"].interval.high == pytest.approx(change.interval.high)
    assert pairs["bwt"].interval.low == pytest.approx(-2.5 - (-5 - change.interval.low) / 2)
    assert pairs["forgetting_last"].interval.high == pytest.approx(-change.interval.low)
    assert pairs["forgetting_max"].interval.high == pytest.approx(-change.interval.low)
    assert cells["bwt"].interval.low < pairs["bwt"].interval.low
    assert {name: e for name, e in cells.items() if pairs[name] == e}.keys() == {
        "mft",
        "mfn",
        "maa",
        "last",
    }


@pytest.mark.parametrize(
    ("tasks", "rows", "message"),
    [
        (["a", "a"], [(None, {})], "tasks must be unique"),
        (["a"], [(None, {}), ("a", {}), ("b", {})], "3 rows for 1 tasks"),
        (["a", "b"], [(None, {}), ("b", {})], "learned 'b', expected 'a'"),
        (["a"], [("a", {})], "learned 'a', expected None"),
        (["a"], [(None, {"z": Cell(accuracy=1, n=1, metric="iou")})], r"unknown tasks \['z'\]"),
    ],
)
def test_rows_and_columns_must_fit_together(tasks, rows, message):
    built = [MatrixRow(version=f"s@{k}", task=t, cells=c) for k, (t, c) in enumerate(rows)]

    with pytest.raises(InvalidMatrix, match=message):
        AccuracyMatrix(tasks=tuple(tasks), rows=tuple(built))


def test_a_version_appears_once():
    rows = (MatrixRow(version="s@0"), MatrixRow(version="s@0", task="a"))

    with pytest.raises(InvalidMatrix, match="versions must be unique"):
        AccuracyMatrix(tasks=("a",), rows=rows)


def test_a_task_is_scored_by_one_metric():
    by = [{"a": Cell(accuracy=1, n=1, metric=metric)} for metric in ("iou", "vqa_soft")]
    rows = (MatrixRow(version="s@0", cells=by[0]), MatrixRow(version="s@1", task="a", cells=by[1]))

    with pytest.raises(InvalidMatrix, match=r"'a' was scored by \['iou', 'vqa_soft'\]"):
        AccuracyMatrix(tasks=("a",), rows=rows)


@pytest.mark.parametrize("accuracy", [float("nan"), float("inf"), -0.1, 100.1])
def test_an_accuracy_outside_the_scale_is_refused(accuracy):
    with pytest.raises(ValidationError):
        Cell(accuracy=accuracy, n=10, metric="exact_match")


def test_a_cell_without_items_is_refused():
    with pytest.raises(ValidationError):
        Cell(accuracy=50, n=0, metric="exact_match")


def test_json_round_trip():
    matrix = three_tasks()

    assert AccuracyMatrix.model_validate_json(matrix.model_dump_json()) == matrix
