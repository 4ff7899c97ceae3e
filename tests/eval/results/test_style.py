"""What a run's own answers tell of style: formats kept, lost answers read leniently."""

from __future__ import annotations

from pathlib import Path

import pytest

from eval.api import report_run
from eval.export import figures_csv
from eval.findings import findings
from eval.probes import ProbeKind
from eval.report import ForgettingReport
from eval.report_markdown import to_markdown
from eval.report_page import report_html
from tests.eval.results.folders import RIGHT, annotations, merged, questions, write_json

TASKS = ("one", "two")
CHATTY = {key: f"The answer is {text}." for key, text in RIGHT.items()}
WRONG = dict.fromkeys(RIGHT, "nothing")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A run of two tasks whose second stage is still to be told."""
    annotations(tmp_path / "annotations", TASKS)
    merged(tmp_path / "run" / "one" / "Finetune", "one", RIGHT)
    merged(tmp_path / "run" / "two" / "Finetune", "two", RIGHT)
    merged(tmp_path / "run" / "one" / "Zero_shot", "one", WRONG)
    return tmp_path


def told(root: Path, now: dict[str, str], **reading: object) -> ForgettingReport:
    """Return the report of a run whose second stage answers the first task so."""
    merged(root / "run" / "one" / "two", "one", now)
    found = report_run(root / "run", root / "annotations", tasks=TASKS, **reading)  # type: ignore[arg-type]
    assert found.report.notes == found.notes[1:]
    return found.report


def test_answers_written_otherwise_are_style(root: Path) -> None:
    report = told(root, CHATTY)
    (split,) = report.splits
    assert (split.lost, split.probed, split.read_only) == (10, 10, True)
    assert split.superficial is not None
    assert split.superficial.percent == 100
    assert "mostly style went, and how much of the rest is style cannot be told" in said(report)
    assert "10 of 10 were read again, not asked in other ways" in said(report)
    assert findings(report).advice.startswith("Train the task again with answer style")


def test_wrong_answers_may_still_be_style(root: Path) -> None:
    report = told(root, {**WRONG, "0": CHATTY["0"]})
    (split,) = report.splits
    assert (split.overall.now, split.overall.before, split.overall.n) == (1, 0, 10)
    assert "10 % of the answers lost" in said(report)
    assert "beyond chance: how much of the rest is style cannot be told" in said(report)
    assert findings(report).advice.startswith("Have the lost answers asked again")


def test_what_the_base_knew_in_another_style_is_chance(root: Path) -> None:
    merged(root / "run" / "one" / "Zero_shot", "one", CHATTY)
    (split,) = told(root, CHATTY).splits
    assert (split.overall.now, split.overall.before) == (10, 10)
    assert split.superficial is None


def test_without_answers_from_before_nothing_is_told(root: Path) -> None:
    (root / "run" / "one" / "Zero_shot" / "merge.jsonl").unlink()
    report = told(root, CHATTY)
    assert report.splits == ()
    (note,) = [it for it in report.notes if "told apart" in it]
    assert "takes the base's answers to it, in " in note
    assert note.endswith("/one/<stage 0>/merge.jsonl")


def test_the_stage_before_the_task_is_the_chance_where_it_was_asked(root: Path) -> None:
    annotations(root / "annotations", ("one", "two", "three"))
    merged(root / "run" / "two" / "one", "two", CHATTY)  # before it was learned: known already
    merged(root / "run" / "two" / "Zero_shot", "two", WRONG)
    for task, name in (("one", "three"), ("three", "Finetune")):
        merged(root / "run" / task / name, task, RIGHT)
    merged(root / "run" / "two" / "three", "two", CHATTY)
    merged(root / "run" / "one" / "two", "one", RIGHT)
    found = report_run(root / "run", root / "annotations", tasks=("one", "two", "three"))
    first, second = found.report.splits
    assert first.lost == 0
    assert (second.overall.now, second.overall.before, second.superficial) == (10, 10, None)


def test_published_rules_have_no_lenient_reading(root: Path) -> None:
    report = told(root, CHATTY, mode="published")
    assert report.splits == ()
    assert "style and knowledge are told apart under the repaired rules only" in report.notes


def test_formats_are_told_where_prompts_tell_them(root: Path) -> None:
    kept = {(it.task, str(it.format)): it for it in told(root, {**RIGHT, **_first(3)}).compliance}
    one, two = kept["one", "short_answer"], kept["two", "short_answer"]
    assert one.learned is not None
    assert (one.now.kept, one.now.n, one.learned.kept) == (7, 10, 10)
    assert (two.now.kept, two.learned) == (10, None)

    rows = [{**row, "text": "What is it?"} for row in questions("one", RIGHT)]
    write_json(root / "annotations" / "one" / "test.json", rows)
    assert {it.task for it in told(root, CHATTY, check_prompts=False).compliance} == {"two"}


def test_pages_say_that_answers_were_read_not_asked(root: Path) -> None:
    report = told(root, CHATTY)
    assert list(report.splits[0].by_kind) == [ProbeKind.LENIENT]
    for page in (to_markdown(report), report_html(report).partition("<script>")[0]):
        text = " ".join(page.split())
        assert "wrong now were read with style forgiven." in text
        assert "asked again" not in text
    assert "Only style, at least" in report_html(report)
    assert "cannot be told (n=10)" in to_markdown(report)  # knowledge
    assert "essential" not in figures_csv(report)
    assert report.splits[0].essential is None


def test_a_run_has_no_way_out_that_needs_the_service(root: Path) -> None:
    verdict = told(root, WRONG).verdict
    assert verdict is not None
    assert verdict.outcome == "block"
    assert verdict.explanation.endswith(", or widen the policy.")
    assert "stream" not in verdict.explanation


def said(report: ForgettingReport) -> str:
    return findings(report).style or ""


def _first(number: int) -> dict[str, str]:
    return {key: f"I think that it must be {CHATTY[key]}" for key in list(RIGHT)[:number]}
