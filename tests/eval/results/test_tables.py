"""Matrices given as numbers."""

from __future__ import annotations

from pathlib import Path

import pytest

from eval.errors import InvalidMatrix
from eval.export import accuracy_csv
from eval.results.errors import ResultsRefused
from eval.results.tables import read_matrix
from tests.eval.factories import three_tasks
from tests.eval.results.folders import write_json

PAPER = """stage,science,signs
n,2000,1000
base,10.5,20.1
science,75.4,
signs,54.05,64.3
"""


def csv(folder: Path, text: str) -> Path:
    (folder / "paper.csv").write_text(text, encoding="utf-8")
    return folder / "paper.csv"


def test_a_table_as_papers_print_it(tmp_path: Path) -> None:
    matrix = read_matrix(csv(tmp_path, PAPER))
    assert matrix.tasks == ("science", "signs")
    assert [row.version for row in matrix.rows] == ["paper@0", "paper@1", "paper@2"]
    assert [row.task for row in matrix.rows] == [None, "science", "signs"]
    assert matrix.cell(2, "signs").model_dump(include={"accuracy", "n", "metric"}) == {
        "accuracy": 64.3, "n": 1000, "metric": "accuracy",
    }  # fmt: skip
    assert "signs" not in matrix.rows[1].cells
    assert matrix.summaries()["mfn"] == pytest.approx((54.05 + 64.3) / 2)
    assert matrix.summaries()["bwt"] == pytest.approx((54.05 - 75.4) / 2)


def test_without_a_base_its_row_is_a_hole(tmp_path: Path) -> None:
    matrix = read_matrix(csv(tmp_path, "after,a,b\n1,50\n2,40,60\nmetric,iou,iou\n"), n=10)
    assert matrix.rows[0].cells == {}
    assert matrix.cell(1, "a").metric == "iou"
    assert matrix.num_learned == 2


def test_json_in_a_few_words_and_as_retain_writes_it(tmp_path: Path) -> None:
    simple = {"tasks": ["a", "b"], "n": {"a": 5, "b": 6}, "matrix": [[50, None], [40, 60.5]]}
    matrix = read_matrix(write_json(tmp_path / "m.json", simple))
    assert matrix.cell(2, "b").n == 6
    assert matrix.points(2, "b") == 60.5
    base = read_matrix(
        write_json(tmp_path / "m.json", {**simple, "matrix": [[1, 2], [3, 4], [5, 6]]})
    )
    assert base.points(0, "b") == 2
    own = three_tasks()
    path = write_json(tmp_path / "own.json", own.model_dump(mode="json"))
    assert read_matrix(path) == own
    path = write_json(path, {"version": "x", "matrix": own.model_dump(mode="json")})
    assert read_matrix(path) == own


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "holds no matrix"), ("stage,a\n", "holds no matrix"),
     ("s,a\n1,50\n", r"Add a row 'n,2000', or give --n"), ("s,a\nn,0\n1,50\n", "n of 'a' is '0'"),
     ("s,a\nn,2.5\n1,50\n", "n of 'a' is '2.5'"), ("s,a\nn,9\n1,nan\n", "line 3: 'a' is 'nan'"),
     ("s,a\nn,9\n1,101\n", "'a' is '101'"), ("s,a\nn,9\n1,-1\n", "'a' is '-1'"),
     ("s,a\nn,9\n1,x\n", "'a' is 'x', expected points"),
     ("s,a,b\nn,9,9\n1,0.5,\n2,0.4,0.6\n", "no value is above 0.6, so these look like shares"),
     ("s,a,b\nn,9,9\nb,50\n", r"line 3: stage 1 is named 'b', but the column of stage 1 is 'a'"),
     ("s,a\nn,9\n1,50\nbase,40\n", "the base is the first row"),
     ("s,a\nn,9\n1,50,60\n", "line 3: 3 cells, the first line has 2"),
     ('s,a\nn,9\n1,"50\n', "line 3: not CSV: unexpected end of data. Close every quote"),
     ('s,a\nn,9\n1,"5"0\n', "line 3: not CSV"),
     (f"s,a\n{'x' * 200_000},9\n", r"line 2: not CSV: field larger than field limit"),
     ("s,,b\nn,9,9\n1,50,60\n", "a task is called ''"),
     ("s,a\nn,9\nN,5\n1,50\n", "line 3: there is a row 'n' before. Keep one"),
     ("s,a,a\nn,9,9\n1,50,\n", "first line: 'a' names two columns. Name each task once"),
     (accuracy_csv(three_tasks()), "a line for each number.*Give the report.json")],
)  # fmt: skip
def test_tables_that_are_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ResultsRefused, match=message):
        read_matrix(csv(tmp_path, text))


@pytest.mark.parametrize(
    ("value", "message"),
    [([], "expected 'tasks' and 'matrix'"), ({"tasks": ["a"]}, "KeyError"),
     ({"tasks": ["a"], "n": 5, "matrix": [[1, 2]]}, "give one value a task"),
     ({"tasks": ["a"], "n": [5, 6], "matrix": [[1]]}, "2 values of n for 1 tasks"),
     ({"tasks": ["a"], "n": 5, "metric": ["x", "y"], "matrix": [[1]]}, "2 metrics for 1"),
     ({"tasks": ["a"], "n": 5, "matrix": [[True]]}, "'a' is True"),
     ({"tasks": ["a"], "n": 5, "matrix": [[1]], "stages": 5}, "expected 'tasks' and 'matrix'"),
     ({"tasks": [{"a": 1}], "n": 5, "matrix": [[1]]}, "a task is called {'a': 1}"),
     ({"tasks": ["a"], "n": 10**400, "matrix": [[1]]}, "n of 'a' is 1000.*, expected 1 or more"),
     ({"rows": [{"version": "x"}], "tasks": 3}, "tasks: Input should be")],
)  # fmt: skip
def test_json_that_is_refused(value: object, message: str, tmp_path: Path) -> None:
    with pytest.raises(ResultsRefused, match=message):
        read_matrix(write_json(tmp_path / "m.json", value))


def test_rows_and_columns_must_fit(tmp_path: Path) -> None:
    with pytest.raises(InvalidMatrix, match="3 rows for 1 tasks"):
        read_matrix(csv(tmp_path, "s,a\nn,9\n1,50\n2,60\n"))


def test_n_is_said_once(tmp_path: Path) -> None:
    with pytest.raises(ResultsRefused, match=r"line 2: the file says how many.* Leave --n out"):
        read_matrix(csv(tmp_path, "s,a\nn,9\n1,50\n"), 5)
