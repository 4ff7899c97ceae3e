import csv
import io

import pytest

from eval.compliance import format_compliance
from eval.export import ACCURACY_COLUMNS, FIGURE_COLUMNS, accuracy_csv, figures_csv
from eval.forgetting import task_changes
from eval.intervals import paired_changes
from eval.report import build_report
from tests.eval.factories import item, matrix_of, three_tasks
from tests.eval.test_plots import split


def rows(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_accuracies_are_a_line_a_measured_cell():
    found = rows(accuracy_csv(three_tasks()))

    assert tuple(found[0]) == ACCURACY_COLUMNS
    assert len(found) == 3 + 1 + 2 + 3
    assert found[-2] == {
        "stage": "3", "version": "demo@3", "learned": "counts", "task": "science",
        "accuracy": "71", "low": "64.3625", "high": "76.846", "n": "200",
        "metric": "exact_match",
    }  # fmt: skip
    assert found[0]["learned"] == ""


def test_figures_are_tidy_and_never_without_n():
    items = [item(k) for k in range(8)]
    answers = {it.digest: "red" for it in items}
    scored = {f"i{k}": float(k < 177) for k in range(200)}
    paired = paired_changes({"science": scored}, {"science": scored | {"i1": 0.0}})
    report = build_report(
        three_tasks(),
        changes=task_changes(three_tasks(), paired),
        splits=[split(), split("signs", probed=0)],
        compliance=format_compliance(items, {items[0].task: answers}, {items[0].task: answers}),
    )

    found = rows(figures_csv(report))

    assert tuple(found[0]) == FIGURE_COLUMNS
    assert {it["version"] for it in found} == {"demo@3"}
    assert all(int(it["n"]) > 0 for it in found)
    by_key = {(it["task"], it["measure"]): it for it in found}
    science = by_key["science", "since_parent"]
    assert (science["p"], science["p_adjusted"], science["n"]) == ("1", "1", "200")
    assert by_key["science", "superficial"]["value"] == "75"
    assert by_key["science", "essential"]["part"] == "any"
    assert by_key["colours", "format_now"]["value"] == "100"
    assert by_key["", "bwt"]["n"] == "400"
    assert ("signs", "superficial") not in by_key
    assert ("counts", "since_learned") not in by_key
    assert ("counts", "since_parent") not in by_key


def test_names_that_a_spreadsheet_would_run_are_made_text():
    matrix = matrix_of(["=1+1", 'a,"b'], [[50.0], [50.0, 20.0]], n=4, stream="@x")

    first, second, _ = rows(accuracy_csv(matrix))

    assert (first["task"], first["version"]) == ("'=1+1", "'@x@1")
    assert rows(accuracy_csv(matrix))[2]["task"] == 'a,"b'
    assert second["accuracy"] == "50"


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("a\r=1+1", "a =1+1"),
        ("a\n=1+1", "a =1+1"),
        ("\r=1+1", "' =1+1"),
        (" =1+1", "' =1+1"),
        ("\t@x", "'\t@x"),
        ("＝1+1", "'＝1+1"),
        ("a=1", "a=1"),
    ],
)
def test_names_cannot_begin_a_formula_on_a_line_of_their_own(name, written):
    text = accuracy_csv(matrix_of([name], [[50.0]], n=4))

    assert [line.split(",")[3] for line in text.splitlines()] == ["task", written]
