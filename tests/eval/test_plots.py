import json

from eval.plots import accuracy_curve, heatmap, split_bars
from eval.recovery import recovery_of
from eval.split import TaskSplit
from tests.eval.factories import matrix_of, three_tasks

EVIL = "<b>x</b>"


def split(task="science", lost=40, learned=100, now=30, before=0, probed=40):
    return TaskSplit(
        task=task,
        rules="1",
        compared=120,
        learned=learned,
        lost=lost,
        probed=probed,
        by_kind={},
        overall=recovery_of([k < now for k in range(probed)], [k < before for k in range(probed)]),
        recovered_by={},
    )


def test_the_heatmap_writes_every_accuracy_with_its_n_and_leaves_holes_blank():
    (trace,) = heatmap(three_tasks())["data"]

    assert trace["z"][3] == [58.5, 71.0, 79.0]
    assert trace["z"][1] == [91.5, None, None]
    assert trace["text"][3][0] == '58.5<br><span style="font-size:10px">n=200</span>'
    assert trace["text"][1][1] == ""
    assert trace["hovertext"][3][0] == "58.5 points (51.6 to 65.1), n=200"


def test_a_large_heatmap_tells_its_numbers_on_hovering_only():
    matrix = matrix_of([f"t{k}" for k in range(20)], [[1.0] * (k + 1) for k in range(20)], n=9)

    assert "texttemplate" not in heatmap(matrix)["data"][0]


def test_a_curve_has_the_interval_as_its_band_and_a_larger_dot_where_learned():
    before, band, line = accuracy_curve(three_tasks(), "science")["data"]

    assert line["y"] == [25.5, None, 88.5, 71.0]
    assert line["marker"]["size"] == [5, 5, 11, 5]
    assert line["customdata"][3] == ["demo@3", "71.0 points (64.4 to 76.8), n=200"]
    assert band["x"] == [2, 3, 3, 2]
    assert [round(y, 1) for y in band["y"]] == [92.2, 76.8, 64.4, 83.3]
    assert len(set(before["y"])) == 2  # zero-shot stands alone


def test_bars_divide_what_was_lost_of_100_right_answers():
    figure = split_bars(
        [split(), split("signs", lost=10, probed=0), split("none", lost=0, probed=0)]
    )
    style, knowledge, untold, counts = figure["data"]

    assert [bar["name"] for bar in (style, knowledge, untold)] == [
        "style (superficial)",
        "knowledge (essential)",
        "cannot be told",
    ]
    assert (style["x"], knowledge["x"], untold["x"]) == ([30, 0, 0], [10, 0, 0], [0, 10, 0])
    assert counts["text"][1] == " 10 of 100 lost"
    assert style["hovertext"][0].endswith(", n=40")


def test_names_are_escaped_and_figures_are_json():
    matrix = matrix_of([EVIL], [[50.0]], n=10, stream=EVIL)

    for figure in (heatmap(matrix), accuracy_curve(matrix, EVIL), split_bars([split(EVIL)])):
        assert EVIL not in json.dumps(figure, allow_nan=False)
