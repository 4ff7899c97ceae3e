import re
from datetime import UTC, datetime

import pytest

from eval.compliance import format_compliance
from eval.errors import MatrixHole
from eval.forgetting import TaskChange, find_worst_items, task_changes
from eval.intervals import paired_changes
from eval.matrix import AccuracyMatrix, Cell, MatrixRow
from eval.report import ForgettingReport, build_report, flatten
from eval.report_markdown import to_markdown
from tests.eval.factories import answered, item, three_tasks, upto, verdict_of
from tests.eval.test_plots import split

EVIL = "a|b <script>alert(1)</script> [x](y) \n# head"


def report(**fields):
    matrix = three_tasks()
    return build_report(matrix, verdict_of(matrix), **fields)


def lost(count, task="classes", **fields):
    items = [item(number, task=task, **fields) for number in range(count)]
    before = {i.digest: "red" for i in items}
    return items, before, dict.fromkeys(before, EVIL)


def worst_of(items, before, after, limit=12):
    return find_worst_items(items, answered(items, before), answered(items, after), limit)


def test_changes_are_against_the_parent_and_against_just_learned():
    classes, science, counts = task_changes(three_tasks())

    assert (classes.since_parent, classes.since_learned) == (-5.5, -33.0)
    assert (science.since_parent, science.since_learned) == (-17.5, -17.5)
    assert (counts.since_parent, counts.since_learned) == (None, 0.0)
    assert classes.now.n == 200


def test_changes_carry_intervals_from_the_cells():
    classes, science, counts = task_changes(three_tasks())

    assert science.since_parent_interval == science.since_learned_interval
    assert science.since_parent_interval.low == pytest.approx(-25.0, abs=0.2)  # 2 x 200 items
    assert science.since_parent_interval.high == pytest.approx(-9.7, abs=0.2)
    assert classes.since_learned_interval.high < -20
    assert (counts.since_parent_interval, counts.since_learned_interval) == (None, None)
    assert {change.paired for change in (classes, science, counts)} == {None}


def test_what_was_asked_more_since_is_compared_on_the_items_of_both_times():
    learned = {f"i{k}": float(k < 80) for k in range(100)}
    now = {f"i{k}": float(k < 80 or k >= 100) for k in range(400)}  # all the later ones are right
    rows = [
        MatrixRow(version="s@0"),
        MatrixRow(version="s@1", task="a", cells={"a": cell_of(learned)}),
        MatrixRow(version="s@2", task="b", cells={"a": cell_of(now), "b": cell_of(learned)}),
    ]
    matrix = AccuracyMatrix(tasks=("a", "b"), rows=tuple(rows))

    paired = paired_changes({"a": learned}, {"a": now})
    change = task_changes(matrix, paired, paired)[0]

    assert (change.since_learned, change.paired.n) == (0, 100)  # the cells differ by 15 points
    assert change.since_learned_interval.low <= 0 <= change.since_learned_interval.high


def cell_of(scores):
    accuracy = 100 * sum(scores.values()) / len(scores)
    return Cell(accuracy=accuracy, n=len(scores), metric="exact_match")


def test_changes_carry_the_paired_test_where_item_scores_are_known():
    before = {f"i{k}": float(k < 177) for k in range(200)}  # 88.5 points
    after = {f"i{k}": float(k < 142) for k in range(200)}  # 71.0
    paired = paired_changes({"science": before}, {"science": after})

    _, science, _ = task_changes(three_tasks(), since_parent=paired)
    cells = task_changes(three_tasks())[1]

    assert science.paired == paired["science"]
    assert (science.paired.lost, science.paired.gained, science.paired.n) == (35, 0, 200)
    assert science.since_parent_interval == paired["science"].interval
    assert science.since_learned_interval == cells.since_learned_interval
    assert science.since_parent_interval.low > cells.since_parent_interval.low
    assert TaskChange.model_validate_json(science.model_dump_json()) == science


def test_changes_of_reports_stored_without_intervals_are_read():
    stored = task_changes(three_tasks())[0].model_dump(mode="json")
    for name in ("since_learned_interval", "since_parent_interval", "paired"):
        del stored[name]

    assert TaskChange.model_validate(stored).since_parent_interval is None


def test_worst_items_were_right_and_are_wrong():
    items = [item(1), item(2), item(3), item(4)]
    before = dict(zip([i.digest for i in items], ["red", "red", "blue", "red"], strict=True))
    after = dict(zip([i.digest for i in items[:3]], ["blue", "red", "blue"], strict=True))

    (found,) = worst_of(items, before, after)

    assert (found.item_id, found.before, found.after, found.reference) == (
        "s1#0",
        "red",
        "blue",
        "red",
    )


def test_an_item_of_two_tasks_is_lost_by_the_rules_of_each():
    strict = item(1, task="strict")
    loose = strict.model_copy(update={"task": "loose", "metric": "contains"})
    before, after = {strict.digest: "red"}, {strict.digest: "a red one"}

    assert strict.digest == loose.digest
    assert [it.task for it in worst_of([strict, loose], before, after)] == ["strict"]


def test_worst_items_take_turns_among_the_tasks_and_stay_the_same():
    many, few = lost(40, "a"), lost(3, "b", images=("f" * 64,))
    items = many[0] + few[0]
    before, after = many[1] | few[1], many[2] | few[2]

    found = worst_of(items, before, after)
    again = worst_of(many[0][::-1] + few[0], before, after)

    assert len(found) == 12
    assert [w.task for w in found[:6]] == ["a", "b"] * 3
    assert {w.item_id for w in found} == {w.item_id for w in again}


def test_a_report_holds_the_matrix_its_summaries_with_n_and_the_verdict():
    result = report(training={"method": "reglora"})

    assert (result.version, result.parent, result.task) == ("demo@3", "demo@2", "counts")
    assert {s.name: round(s.value, 2) for s in result.summaries}["bwt"] == -16.83
    assert {s.name: (s.n, s.num_tasks) for s in result.summaries}["bwt"] == (400, 2)
    assert {s.name: (s.n, s.num_tasks) for s in result.summaries}["mfn"] == (600, 3)
    assert all(s.interval.low <= s.value <= s.interval.high for s in result.summaries)
    assert result.verdict.outcome == "block"
    assert ForgettingReport.model_validate_json(result.model_dump_json()) == result


def test_paired_changes_since_learning_narrow_backward_transfer():
    before = {f"i{k}": float(k < 177) for k in range(200)}
    after = {f"i{k}": float(k < 142) for k in range(200)}
    paired = paired_changes({"science": before}, {"science": after})

    def width(result):
        (bwt,) = (it.interval for it in result.summaries if it.name == "bwt")
        return bwt.high - bwt.low

    assert width(report(since_learned=paired)) < width(report())


def test_reports_stored_before_are_read():
    stored = report().model_dump(mode="json")
    for name in ("digest", "splits", "compliance", "notes"):
        del stored[name]
    for summary in stored["summaries"]:
        del summary["interval"]
    for change in stored["changes"]:
        for name in ("since_learned_interval", "since_parent_interval", "paired"):
            del change[name]

    old = ForgettingReport.model_validate(stored)

    assert (old.splits, old.compliance, old.notes) == ((), (), ())
    assert "| mfn | 69.50 | - | 3 | 600 |" in to_markdown(old)
    assert "science | 71.0 (64.4 to 76.8, n=200)" in to_markdown(old)


def test_a_report_holds_what_it_is_given():
    items = [item(k) for k in range(4)]
    answers = {it.digest: "red" for it in items}

    result = report(
        changes=task_changes(three_tasks())[:1],
        splits=[split()],
        compliance=format_compliance(items, {items[0].task: answers}, {items[0].task: answers}),
        digest="d" * 64,
        notes=["an image was missing"],
    )
    text = to_markdown(result)

    assert ForgettingReport.model_validate_json(result.model_dump_json()) == result
    assert len(result.changes) == 1
    assert "> an image was missing" in text
    assert f"Version digest `{'d' * 64}`." in text
    assert "| science | 40 of 100 | any way | 75 (60 to 86, n=40) | 0 (0 to 9, n=40) |" in text
    assert "| colours | short_answer | 100.0 (51.0 to 100.0, n=4) |" in text


def test_a_report_keeps_at_most_twelve_items():
    items, before, after = lost(30)

    assert len(report(worst_items=worst_of(items, before, after, 30)).worst_items) == 12


def test_there_is_no_report_on_the_base():
    matrix = three_tasks()
    verdict = verdict_of(matrix)

    with pytest.raises(MatrixHole):
        build_report(upto(matrix, 0), verdict)


def test_markdown_shows_every_accuracy_with_interval_and_n():
    text = to_markdown(report(created_at=datetime(2026, 1, 2, 3, 4, tzinfo=UTC)))

    table = text.split("## Accuracy matrix")[1].split("## Summaries")[0]
    assert "| 71.0 (64.4 to 76.8, n=200) | 79.0 (72.8 to 84.1, n=200) |" in table
    assert "| demo@1 | 91.5 (86.8 to 94.6, n=200) | - | - |" in table
    assert re.findall(r"\d\.\d(?! \(| to |, n=)", table) == []
    assert "evaluated 2026-01-02 03:04 UTC" in text
    assert "| bwt | -16.83 | -20.4 to -13.1 | 2 | 400 |" in text


def test_markdown_escapes_what_models_wrote():
    items, before, after = lost(1)

    text = to_markdown(report(worst_items=worst_of(items, before, after)))

    assert "<script>" not in text
    (line,) = [line for line in text.splitlines() if "alert" in line]
    assert len(re.findall(r"(?<!\\)\|", line)) == 6


def test_markdown_shows_entities_as_they_were_written():
    text = to_markdown(report(notes=["&lt;img src=x&gt;"]))

    assert "> \\&lt;img src=x\\&gt;" in text


def test_training_facts_are_flattened():
    nested = {"method": "lora", "asd": {"counts": {"yes_no": 3}}, "targets": ["q", "v"]}

    assert flatten(nested) == [
        ("method", "lora"),
        ("asd.counts.yes_no", "3"),
        ("targets", "q, v"),
    ]
