"""Result folders to scores and reports, as one call."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from asd_rewriter.errors import OutputRefused
from eval.api import report_run, score_run
from eval.errors import MatrixHole
from eval.intervals import paired_change
from eval.results.errors import PredictionsMismatch, ReferencesRefused
from tests.asd_rewriter.conftest import png
from tests.eval.results.folders import (
    RIGHT,
    TRIANGLE,
    annotations,
    answers,
    coin,
    merged,
    questions,
    write_json,
    write_lines,
)

Reading = dict[str, Any]
TASKS = ("one", "two", "three")


@pytest.fixture
def results(tmp_path: Path) -> Path:
    annotations(tmp_path / "annotations", TASKS)
    return coin(tmp_path / "LLaVA", TASKS, {**TRIANGLE, (0, 1): 9})


@pytest.fixture
def reading(tmp_path: Path) -> Reading:
    return {"references": tmp_path / "annotations", "tasks": TASKS}


def test_every_file_is_scored(results: Path, reading: Reading) -> None:
    scored = score_run(results, **reading)
    rows = [(row.stage, row.task, row.points, row.n) for row in scored.table()]
    assert rows == [
        (0, "one", 10.0, 10), (1, "one", 90.0, 10), (2, "one", 70.0, 10), (2, "two", 80.0, 10),
        (3, "one", 50.0, 10), (3, "two", 60.0, 10), (3, "three", 100.0, 10),
    ]  # fmt: skip
    first = scored.table()[1]
    assert (first.version, first.learned, first.metric) == ("LLaVA@1", "one", "exact_match")
    assert first.low == pytest.approx(59.585, abs=0.001)  # Wilson, 9 of 10
    assert first.high == pytest.approx(98.212, abs=0.001)
    assert len(scored.notes) == 3
    assert "one: scored by exact_match, which fits the form" in scored.notes[0]


def test_a_run_becomes_a_report(results: Path, reading: Reading) -> None:
    found = report_run(results, **reading)
    summaries = {it.name: it.value for it in found.report.summaries}
    assert summaries["mft"] == pytest.approx(90)
    assert summaries["mfn"] == pytest.approx(70)
    assert summaries["bwt"] == pytest.approx(-20)
    assert summaries["maa"] == pytest.approx((90 + 75 + 70) / 3)
    assert found.report.version == "LLaVA@3"
    assert found.report.verdict is not None
    assert found.report.verdict.outcome == "block"  # 10 items, and none is left to ask
    paired = {it.task: it.paired for it in found.report.changes}
    assert paired["one"] is not None
    assert (paired["one"].lost, paired["one"].gained, paired["one"].n) == (2, 0, 10)
    assert paired["one"].p_value == pytest.approx(0.5)  # exact McNemar, 2 of 2
    assert paired["three"] is None
    changes = {it.task: it.measured for it in found.report.verdict.checks}
    assert changes == pytest.approx({"one": -20, "two": -20, None: -20})
    assert {it.task for it in found.report.worst_items} == {"one", "two"}
    assert found.notes[0].startswith("read as CoIN results: 3 tasks, 4 stages, 7 files")
    assert "exact_match-2-fixed" in json.loads(found.json())["training"]["scorers"]


def test_changes_since_learning_are_paired_with_the_stage_that_learned(
    results: Path, reading: Reading
) -> None:
    report = report_run(results, **reading).report
    one, two, _ = report.changes
    assert (one.since_learned, two.since_learned) == pytest.approx((-40, -20))
    scores = {wrong: {str(k): float(k >= wrong) for k in range(10)} for wrong in (1, 2, 4, 5)}
    of_one, of_two = (
        paired_change(scores[before], scores[after]) for before, after in ((1, 5), (2, 4))
    )
    assert (one.since_learned_interval, two.since_learned_interval) == (
        of_one.interval,
        of_two.interval,
    )
    bwt = next(it.interval for it in report.summaries if it.name == "bwt_t_minus_1")
    expected = report.matrix.estimate("bwt_t_minus_1", {"one": of_one, "two": of_two}).interval
    assert (bwt, bwt.low > report.matrix.estimate("bwt_t_minus_1").interval.low) == (expected, True)


def test_all_of_it_is_written_or_nothing(
    results: Path,
    reading: Reading,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = report_run(results, **reading)
    files = found.write(tmp_path / "out")
    assert [file.name for file in files] == [
        "report.json",
        "report.md",
        "report.html",
        "matrix.csv",
    ]
    assert all(file.stat().st_size for file in files)
    assert (tmp_path / "out" / "matrix.csv").read_text().splitlines()[1:3] == [
        "0,LLaVA@0,,one,10,1.78762,40.415,10,exact_match",
        "1,LLaVA@1,one,one,90,59.585,98.2124,10,exact_match",
    ]
    with pytest.raises(OutputRefused, match="is not empty, and nothing is overwritten"):
        found.write(tmp_path / "out")
    monkeypatch.setattr(type(found), "html", lambda self: "\ud800")
    with pytest.raises(UnicodeEncodeError):
        found.write(tmp_path / "half")
    assert [path.name for path in tmp_path.iterdir() if "half" in path.name] == []


def test_missing_results_are_named_with_the_file_expected(
    results: Path,
    reading: Reading,
) -> None:
    (results / "two" / "Finetune" / "merge.jsonl").unlink()
    (results / "one" / "three" / "merge.jsonl").unlink()
    with pytest.raises(MatrixHole) as hole:
        report_run(results, **reading)
    assert f"task 'two' after stage 2: {results}/two/Finetune/merge.jsonl" in str(hole.value)
    assert f"task 'one' after stage 3: {results}/one/three/merge.jsonl" in str(hole.value)
    assert str(hole.value).endswith("If the order was not one, two, three, give it with --tasks.")
    assert len(score_run(results, **reading).table()) == 5


def test_a_report_says_what_was_assumed_of_the_folder(tmp_path: Path) -> None:
    tasks = ("TextVQA", "GQA")
    annotations(tmp_path / "a", tasks)
    for task in tasks:
        for stage in (1, 2):
            merged(tmp_path / "r" / task / f"seq-task{stage}", task, RIGHT)
    notes = report_run(tmp_path / "r", tmp_path / "a").report.notes
    assert notes[0].startswith("the tasks are in the order of CoIN")


def test_one_state_has_no_report(tmp_path: Path) -> None:
    write_lines(tmp_path / "a.jsonl", [{"id": "1", "answer": "x"}])
    write_lines(tmp_path / "references" / "a.jsonl", [{"id": "1", "answer": "X"}])
    (row,) = score_run(tmp_path).table()
    assert (row.points, row.n) == (100.0, 1)
    assert row.low == pytest.approx(20.654, abs=0.001)  # Wilson, 1 of 1
    with pytest.raises(MatrixHole, match="holds one state of a model"):
        report_run(tmp_path)


def test_a_task_with_one_item_is_reported_and_never_passes(tmp_path: Path) -> None:
    for stage, task in ((1, "a"), (2, "a"), (2, "b")):
        name = ("", "1-a", "2-b")[stage]
        write_lines(tmp_path / name / f"{task}.jsonl", [{"id": "1", "answer": "x"}])
        write_lines(tmp_path / "references" / f"{task}.jsonl", [{"id": "1", "answer": "x"}])
    verdict = report_run(tmp_path).report.verdict
    assert verdict is not None
    assert verdict.outcome != "pass"


def test_the_gate_judges_pairs_of_item_scores(tmp_path: Path) -> None:
    texts = {str(number): f"thing {number}" for number in range(400)}
    for task in ("one", "two"):
        write_json(tmp_path / "a" / task / "test.json", questions(task, texts))
        merged(tmp_path / "r" / task / "Finetune", task, texts)
    later = {**texts, "7": "nothing"}
    merged(tmp_path / "r" / "one" / "two", "one", later)
    verdict = report_run(tmp_path / "r", tmp_path / "a", tasks=("one", "two")).report.verdict
    assert verdict is not None
    assert verdict.outcome == "pass"
    merged(tmp_path / "r" / "one" / "two", "one", {**texts, **dict.fromkeys(list(texts)[:80], "")})
    verdict = report_run(tmp_path / "r", tmp_path / "a", tasks=("one", "two")).report.verdict
    assert verdict is not None
    assert verdict.outcome == "block"
    assert verdict.checks[0].measured == pytest.approx(-20)


def test_predictions_of_another_dataset(results: Path, reading: Reading, tmp_path: Path) -> None:
    write_json(tmp_path / "annotations/one/test.json", questions("else", RIGHT))
    with pytest.raises(PredictionsMismatch, match=r"was asked as .*in one 0.* the references ask"):
        score_run(results, **reading)
    assert score_run(results, **reading, check_prompts=False)
    write_json(tmp_path / "annotations/one/test.json", questions("one", {"a": "b"}))
    with pytest.raises(PredictionsMismatch, match="10 of 10 predictions are of no question"):
        score_run(results, **reading)


def test_scorers_are_those_asked_for(tmp_path: Path) -> None:
    annotations(tmp_path / "a", ["GQA", "own"])
    root = tmp_path / "r"
    merged(root / "GQA" / "Finetune", "GQA", answers(0))
    merged(root / "own" / "Finetune", "own", answers(0))
    reading: Reading = {"references": tmp_path / "a", "tasks": ("GQA", "own")}

    def metrics(**more: object) -> list[str]:
        return [row.metric for row in score_run(root, **reading, **more).table()]

    assert metrics() == ["exact_match", "exact_match"]  # not all tasks are of one benchmark
    assert metrics(scorers="contains") == ["contains", "contains"]
    assert metrics(scorers={"gqa": "gqa"}) == ["gqa", "exact_match"]
    (root / "run.toml").write_text('[metrics]\nown = "contains"\n')
    assert metrics() == ["exact_match", "contains"]
    assert metrics(scorers={"own": "vizwiz"}) == ["exact_match", "vizwiz"]
    with pytest.raises(ValueError, match="there is no scorer 'bleu': choose exact_match"):
        metrics(scorers="bleu")
    with pytest.raises(ValueError, match="no task 'gqqa' for a scorer: the tasks are GQA, own"):
        metrics(scorers={"gqqa": "gqa", "*": "contains"})
    with pytest.raises(ValueError, match="no task 'gqqa' for references"):
        score_run(root, {"gqqa": tmp_path / "a"}, tasks=("GQA", "own"))
    (root / "run.toml").write_text('[metrics]\nowm = "contains"\n')
    with pytest.raises(ValueError, match=r"no task 'owm' for \[metrics\] in run.toml"):
        metrics()


@pytest.mark.parametrize(
    ("metric", "wanted"), [("iou", "a box of four"), ("option_letter", "the letter of an option")]
)
def test_a_scorer_that_no_reference_can_satisfy(tmp_path: Path, metric: str, wanted: str) -> None:
    rows = [{"id": "1", "answer": "stop"}, {"id": "2", "answer": "exit"}]
    write_lines(tmp_path / "signs.jsonl", rows)
    write_lines(tmp_path / "references/signs.jsonl", rows)
    with pytest.raises(
        ReferencesRefused,
        match=f"no reference is {wanted}.*'stop' of question '1'.*--scorer signs=exact_match fits",
    ):
        score_run(tmp_path, scorers=metric)
    right = {"iou": "[0.1, 0.2, 0.3, 0.4]", "option_letter": "B"}[metric]
    write_lines(tmp_path / "references/signs.jsonl", [rows[0], {"id": "2", "answer": right}])
    (note,) = score_run(tmp_path, scorers=metric).notes
    assert "signs: no answer to 1 of 2 questions can be right" in note


def test_published_rules_keep_their_quirks(tmp_path: Path) -> None:
    write_json(tmp_path / "a/GQA/test.json", questions("GQA", {"1": "red", "2": "blue"}))
    merged(tmp_path / "r/GQA/Finetune", "GQA", {"1": "Red.", "2": "the  blue"})
    write_json(tmp_path / "a/ImageNet/test.json", questions("ImageNet", {"1": "hot dog", "2": "b"}))
    merged(tmp_path / "r/ImageNet/Finetune", "ImageNet", {"1": "", "2": "b"})
    published = score_run(tmp_path / "r", tmp_path / "a", mode="published").table()
    fixed = score_run(tmp_path / "r", tmp_path / "a").table()
    assert [row.scorer for row in published] == ["class_name-2-published", "gqa-2-published"]
    assert [row.points for row in published] == [100.0, 50.0]  # an empty answer is in any label
    assert [row.points for row in fixed] == [50.0, 50.0]
    assert [row.empty for row in fixed] == [1, 0]


def test_lost_answers_are_those_of_the_rules_that_scored(tmp_path: Path) -> None:
    """A trailing period is wrong by the published rule alone, an empty answer by the fixed one."""
    annotations(tmp_path / "a", ("one", "two"))
    for task in ("one", "two"):
        merged(tmp_path / "r" / task / "Finetune", task, RIGHT)
    reading: Reading = {"references": tmp_path / "a", "tasks": ("one", "two")}

    def lost(now: str, scorer: str, mode: str) -> int:
        merged(tmp_path / "r" / "one" / "two", "one", {**RIGHT, "3": now})
        found = report_run(tmp_path / "r", **reading, scorers=scorer, mode=mode)  # type: ignore[arg-type]
        assert found.report.changes[0].since_learned == -10 * len(found.report.worst_items)
        return len(found.report.worst_items)

    assert lost("thing 3.", "exact_match", "published") == 1
    assert lost("thing 3.", "exact_match", "fixed") == 0
    assert lost("", "class_name", "published") == 0
    assert lost("", "class_name", "fixed") == 1


def test_few_votes_are_told(tmp_path: Path) -> None:
    annotations(tmp_path / "a", ["TextVQA"])
    merged(tmp_path / "r/TextVQA/Finetune", "TextVQA", answers(2))
    scored = score_run(tmp_path / "r", tmp_path / "a")
    assert scored.table()[0].points == 80.0
    assert "made for 10 people's answers a question" in scored.notes[0]
    votes = [{"question_id": key, "answers": ["nothing"] * 10} for key in RIGHT]
    write_json(tmp_path / "a/TextVQA/TextVQA_0.5.1_val.json", {"data": votes})
    scored = score_run(tmp_path / "r", tmp_path / "a")
    assert (scored.table()[0].points, scored.notes) == (20.0, [])


def test_captions_are_scored_against_those_beside_the_questions(tmp_path: Path) -> None:
    pytest.importorskip("pycocoevalcap")
    pytest.importorskip("sacrebleu")
    asked = {"question_id": "q", "text": "Describe.", "image": "v/1.jpg"}
    write_json(tmp_path / "a/VizWiz-caption/test_3000.json", [asked])
    captions = [{"image_id": 1, "caption": text} for text in ("a red bus", "the red bus on a road")]
    write_json(tmp_path / "a/VizWiz-caption/val_coco_type_3000.json", {"annotations": captions})
    write_lines(
        tmp_path / "r/VizWiz/M-task1/merge.jsonl", [{"question_id": "q", "text": "a red bus"}]
    )
    (row,) = score_run(tmp_path / "r", tmp_path / "a").table()
    assert (row.metric, row.n) == ("caption", 1)


def test_published_captions_are_not_tested_on_pairs_of_other_points(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without Java: the figure of the whole set is made up, by how many captions are empty."""

    def published(items: list[Any], said: list[str]) -> tuple[list[float], float]:
        return [float(bool(text)) for text in said], 150.0 - 5.0 * said.count("")

    monkeypatch.setattr("eval.scoring.published_scores", published)
    annotations(tmp_path / "a", ("one", "two"))
    for task in ("one", "two"):
        merged(tmp_path / "r" / task / "Finetune", task, RIGHT)
    merged(tmp_path / "r" / "one" / "two", "one", {**RIGHT, **dict.fromkeys("01234", "")})
    reading: Reading = {"tasks": ("one", "two"), "scorers": "caption", "mode": "published"}
    report = report_run(tmp_path / "r", tmp_path / "a", **reading).report
    one = report.changes[0]
    assert (one.just_learned.accuracy, one.now.accuracy) == (100, 100)
    assert (one.since_parent, one.since_learned, one.paired) == (0, 0, None)
    (note,) = (it for it in report.notes if it.startswith("one: its points"))
    assert "(up to 150.0, shown as 100)" in note
    assert report.verdict is not None
    assert report.verdict.checks[0].measured == pytest.approx(-50)


def test_images_of_lost_answers_are_shown(results: Path, reading: Reading, tmp_path: Path) -> None:
    for key in RIGHT:
        path = tmp_path / "images" / "one" / f"{key}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(int(key) + 1))
    found = report_run(results, **reading, images=tmp_path / "images")
    assert found.images
    assert all(url.startswith("data:image/png;base64,") for url in found.images.values())
    assert next(iter(found.images.values())) in found.html()
    shown = {it.task: bool(it.images) for it in found.report.worst_items}
    assert shown == {"one": True, "two": False}


@pytest.mark.parametrize("image", ["../secret.png", "a\0b.png", "loop/a.png", "none.png"])
def test_an_image_that_cannot_be_opened_is_left_out(image: str, tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(png(1))
    rows = [{"id": "1", "question": "?", "answer": "x", "image": image}]
    for stage, said in (("1-a", "x"), ("2-b", "y")):
        for task in ("a", "b"):
            write_lines(tmp_path / "r" / stage / f"{task}.jsonl", [{"id": "1", "answer": said}])
            write_lines(tmp_path / "r" / "references" / f"{task}.jsonl", rows)
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "loop").symlink_to("loop")
    found = report_run(tmp_path / "r", images=tmp_path / "images")
    assert (len(found.report.worst_items), found.images) == (1, {})


def test_a_matrix_has_a_report_without_items_and_verdict(tmp_path: Path) -> None:
    (tmp_path / "paper.csv").write_text("s,a,b\nn,2000,2000\n1,75.4,\n2,54.05,64.3\n")
    found = report_run(tmp_path / "paper.csv")
    assert found.report.verdict is None
    assert "without each item's score there is no gate verdict" in found.notes[0]
    assert "Not judged: the gate needs the scores of single items" in found.markdown()
    assert "Not judged: the gate needs the scores of single items" in found.html()
    (tmp_path / "paper.csv").write_text("s,a,b\nn,2000,2000\n1,,\n2,54.05,\n")
    with pytest.raises(
        MatrixHole, match=r"paper.csv lacks 2 results: row 1 \(a\), column 'a'; row 2 \(b\), col"
    ):
        report_run(tmp_path / "paper.csv")


def test_a_written_report_can_be_read_again(
    results: Path, reading: Reading, tmp_path: Path
) -> None:
    first = report_run(results, **reading)
    first.write(tmp_path / "out")
    again = report_run(tmp_path / "out" / "report.json")
    assert again.report.matrix == first.report.matrix
    values = [[(it.name, it.value, it.n) for it in of.report.summaries] for of in (first, again)]
    assert values[0] == values[1]  # intervals are wider: the items are not read again


def test_references_are_needed(results: Path) -> None:
    with pytest.raises(
        ReferencesRefused, match=r"task 'one' were not found; looked in .*LLaVA/ref"
    ):
        score_run(results, tasks=TASKS)


def test_progress_counts_the_files(results: Path, reading: Reading) -> None:
    told: list[tuple[str, int, int]] = []
    score_run(results, **reading, on_progress=lambda *it: told.append(it))
    assert [it[1:] for it in told] == [(n, 7) for n in range(1, 8)]
