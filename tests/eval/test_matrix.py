import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from eval.errors import InvalidMatrix, MatrixHole
from eval.matrix import SUMMARY_MEANINGS, AccuracyMatrix, Cell, MatrixRow
from tests.eval.factories import matrix_of, three_tasks

# LoRA on UCIT as a user reported it (MCITlib issue 6); the expected values are SEFE's definitions
# worked by hand on it, and agree with the published row.
UCIT = [
    [90.97],
    [90.38, 92.60],
    [73.90, 86.33, 59.54],
    [75.67, 68.77, 47.34, 53.30],
    [75.10, 74.53, 46.73, 52.30, 69.73],
    [65.77, 71.27, 45.05, 51.20, 49.60, 57.47],
]

# CoIN on LLaVA-1.5 as published with SEFE (arXiv 2505.02486): final row, then MFT, MFN, BWT.
COIN = {
    "FFT": ([2.95, 36.38, 52.35, 46.40, 33.90, 0.00, 61.65, 50.00], 65.87, 35.45, -30.42),
    "LoRA": ([54.05, 44.63, 41.25, 47.55, 20.80, 0.85, 59.30, 64.30], 70.21, 41.59, -28.62),
    "O-LoRA": ([75.40, 52.89, 71.85, 47.30, 37.35, 7.10, 61.85, 61.20], 69.30, 51.87, -17.43),
    "LoTA": ([67.30, 41.51, 8.25, 37.15, 42.25, 0.10, 47.95, 56.15], 54.72, 37.58, -17.14),
    "FFT+ASD": ([74.50, 50.12, 65.40, 54.35, 45.50, 0.00, 64.40, 68.50], 68.28, 52.85, -15.44),
    "LoRA+ASD": ([74.45, 49.70, 39.30, 52.00, 50.45, 7.05, 62.25, 47.80], 68.13, 47.88, -20.26),
    "O-LoRA+ASD": ([75.20, 55.36, 67.50, 54.70, 52.90, 15.40, 64.45, 35.05], 65.59, 52.57, -13.02),
    "LoTA+ASD": ([76.90, 42.65, 15.85, 40.25, 45.10, 0.30, 54.35, 54.00], 56.99, 41.18, -15.82),
    "SEFE": ([75.35, 58.66, 83.10, 54.25, 48.85, 16.75, 65.35, 66.25], 69.02, 58.57, -10.45),
}


def of(rows, zero_shot=()):
    tasks = [f"t{k}" for k in range(1, len(rows) + 1)]
    return matrix_of(tasks, rows, zero_shot, n=2000)


def test_the_published_ucit_matrix():
    matrix = of(UCIT)

    assert matrix.mft() == pytest.approx(70.60, abs=0.005)
    assert matrix.mfn() == pytest.approx(56.73, abs=0.005)
    assert matrix.maa() == pytest.approx(72.90, abs=0.005)
    assert matrix.bwt("T") == pytest.approx(-13.88, abs=0.0051)  # exactly -13.875
    assert matrix.bwt("T-1") == pytest.approx(-16.65, abs=0.005)


@pytest.mark.parametrize("method", COIN)
def test_the_published_coin_rows(method):
    final, mft, mfn, bwt = COIN[method]
    # The table gives the mean of the diagonal only: any diagonal with that mean will do, as long
    # as its last entry is the final row's.
    others = (8 * mft - final[-1]) / 7
    rows = [[None] * k + [others] for k in range(7)] + [final]
    matrix = of(rows)

    assert matrix.mft() == pytest.approx(mft, abs=1e-9)
    assert matrix.mfn() == pytest.approx(mfn, abs=0.01)
    assert matrix.bwt() == pytest.approx(bwt, abs=0.011)  # two rounded numbers differ by 0.01
    assert round(mfn - mft, 2) == pytest.approx(bwt, abs=0.0101)


triangles = st.integers(1, 7).flatmap(
    lambda size: st.tuples(
        *(st.lists(st.floats(0, 100), min_size=k, max_size=k) for k in range(1, size + 1))
    )
)


@given(triangles)
def test_summaries_agree_with_a_naive_second_implementation(rows):
    matrix, size = of(rows), len(rows)
    total_just = total_final = total_average = total_last = total_max = 0.0
    for i in range(size):
        total_just += rows[i][i]
        total_final += rows[size - 1][i]
        stage_total = 0.0
        for k in range(i + 1):
            stage_total += rows[i][k]
        total_average += stage_total / (i + 1)
    for i in range(size - 1):
        best = rows[i][i]
        for stage in range(i, size - 1):
            best = max(best, rows[stage][i])
        total_last += rows[i][i] - rows[size - 1][i]
        total_max += best - rows[size - 1][i]
    old = max(size - 1, 1)
    expected = {
        "mft": total_just / size,
        "mfn": total_final / size,
        "maa": total_average / size,
        "bwt": (total_final - total_just) / size,
        "bwt_t_minus_1": (total_final - total_just) / old,
        "forgetting_last": total_last / old,
        "forgetting_max": total_max / old,
    }

    assert matrix.summaries() == pytest.approx(expected, abs=1e-9)


@given(triangles)
def test_bwt_over_t_is_mfn_minus_mft(rows):
    matrix = of(rows)

    assert matrix.bwt("T") == pytest.approx(matrix.mfn() - matrix.mft(), abs=1e-9)


def test_every_summary_has_a_meaning_that_names_its_divisor():
    assert list(three_tasks().summaries()) == list(SUMMARY_MEANINGS)
    assert "divided by T (" in SUMMARY_MEANINGS["bwt"]
    assert "divided by T - 1" in SUMMARY_MEANINGS["bwt_t_minus_1"]


def test_one_task_has_forgotten_nothing():
    summaries = of([[80.0]]).summaries()

    assert summaries["bwt"] == summaries["bwt_t_minus_1"] == summaries["forgetting_max"] == 0.0


def test_the_base_alone_has_no_summaries():
    matrix = AccuracyMatrix(tasks=("t1",), rows=(MatrixRow(version="s@0"),))

    assert matrix.summaries() == {}
    with pytest.raises(MatrixHole, match="base alone"):
        matrix.mft()


def test_a_hole_that_a_number_needs_is_named():
    matrix = of([[80.0], [70.0, 90.0], [None, 60.0, 75.0]])

    assert matrix.mft() == pytest.approx((80 + 90 + 75) / 3)
    with pytest.raises(MatrixHole, match=r"stream@3 on task 't1'.*row 3 of 0\.\.3"):
        matrix.mfn()
    with pytest.raises(MatrixHole):
        matrix.summaries()


def test_cells_of_future_tasks_do_not_count():
    plain = of([[80.0], [70.0, 90.0]])
    future = matrix_of(
        ["t1", "t2", "t3"], [[80.0, 1.0, 2.0], [70.0, 90.0, 3.0]], [4.0, 5.0, 6.0], n=2000
    )

    assert future.summaries() == plain.summaries()
    assert future.learned_tasks == ("t1", "t2")
    assert future.old_tasks == ("t1",)


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
