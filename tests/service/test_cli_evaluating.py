"""`retain eval` and `retain report` on folders: what they print, refuse and leave behind."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from threading import Thread

import pytest
from rich.console import Console

from service.cli import context
from tests.eval.results.folders import TRIANGLE, annotations, coin, write_lines
from tests.service.test_cli import retain, said

TASKS = ("ImageNet", "GQA", "VizWiz")


@pytest.fixture(autouse=True)
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    annotations(tmp_path / "annotations", TASKS)
    return coin(tmp_path / "LLaVA", TASKS, TRIANGLE)


def run(command: str, *options: str) -> tuple[str, ...]:
    folder = ("--predictions", "LLaVA") if command == "eval" else ("LLaVA",)
    return (command, *folder, "--references", "annotations", *options)


def test_scores_are_printed_with_interval_and_n() -> None:
    answer = retain(*run("eval", "--scorer", "exact_match"))
    assert answer.exit_code == 0, answer.output
    told = said(answer)
    assert "read as CoIN results: 3 tasks, 3 stages, 6 files; order of tasks from CoIN" in told
    assert "LLaVA@3 ImageNet exact_match-2-fixed 50.00 23.7 to 76.3 10 -" in told
    assert "note" not in told


def test_json_is_all_of_it() -> None:
    scores = json.loads(retain(*run("eval", "--mode", "published", "--json")).stdout)["scores"]
    assert len(scores) == 6
    assert scores[-1]["scorer"] == "vizwiz-2-published"
    assert {"stage", "learned", "low", "high", "n", "file"} <= scores[0].keys()


def test_scores_of_all_items_are_written() -> None:
    answer = retain(*run("eval", "--out", "out", "--scorer", "ImageNet=contains"))
    assert answer.exit_code == 0, answer.output
    rows = [json.loads(line) for line in Path("out/items.jsonl").read_text().splitlines()]
    assert len(rows) == 60
    assert rows[0] == {
        "stage": 1,
        "task": "ImageNet",
        "id": "0",
        "score": 0.0,
        "answer": "nothing",
    }
    assert json.loads(Path("out/scores.json").read_text())["scores"][0]["metric"] == "contains"
    again = retain(*run("eval", "--out", "out"))
    assert (again.exit_code, "nothing is overwritten" in said(again)) == (1, True)


def test_a_run_is_reported_and_written() -> None:
    answer = retain(*run("report", "--out", "out", "--output", "page.html"))
    assert answer.exit_code == 0, answer.output
    told = said(answer)
    assert "written to page.html" in told
    assert "written to out: matrix.csv, report.html, report.json, report.md" in told
    assert "LLaVA@3" in Path("page.html").read_text()
    shown = retain(*run("report", "--scorer", "exact_match"))
    assert "Forgetting report: LLaVA@3" in said(shown)
    found = json.loads(retain(*run("report", "--json")).stdout)
    assert found["version"] == "LLaVA@3"


def test_a_matrix_is_reported() -> None:
    Path("paper.csv").write_text("s,a,b\n1,75.4,\n2,54.05,64.3\n")
    answer = retain("report", "paper.csv", "--n", "2000")
    assert answer.exit_code == 0, answer.output
    assert "without each item's score there is no gate verdict" in said(answer)
    assert "64.3 (62.2 to 66.4, n=2000)" in said(answer)
    assert "Not judged: the gate needs the scores of single items." in said(answer)
    answer = retain("report", "paper.csv")
    assert (answer.exit_code, "or give --n" in said(answer)) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [(("eval", "--predictions", "none"), 1, "none is not there"),
     (("eval", "--predictions", "LLaVA"), 1, "the references of task 'ImageNet' were not found"),
     (run("eval", "--layout", "mcitlib"), 1, "not named as in MCITlib results"),
     (run("eval", "--layout", "x"), 2, "'x' is not one of"),
     (run("eval", "--scorer", "bleu"), 2, "there is no scorer 'bleu'"),
     (run("eval", "--tasks", "GQA"), 1, "Name each of these once"),
     (run("eval", "--references", "GQA=none.json"), 1, "looked in none.json"),
     (("report", "annotations"), 1, "For the report on a version of a stream, name it: demo@3"),
     (("report", "LLaVA/GQA/Finetune/merge.jsonl"), 1, "merge.jsonl is one file and no matrix"),
     (("report", "demo@3", "--mode", "published"), 2, "only --output and --json go with"),
     (("report", "demo@3", "--out", "x"), 2, "only --output and --json go with a version"),
     (run("report", "--output", "no/folder.html"), 1, "cannot write no/folder.html")],
)  # fmt: skip
def test_what_is_refused(arguments: tuple[str, ...], code: int, message: str) -> None:
    answer = retain(*arguments)
    assert message in said(answer)
    assert answer.exit_code == code


@pytest.mark.parametrize(
    ("arguments", "idle"),
    [(run("report", "--n", "5"), "--n"), (("report", "mine", "--run", "foo"), "--run"),
     (("eval", "--predictions", "mine", "--run", "foo"), "--run"),
     (("eval", "--predictions", "paper.csv", "--layout", "coin"), "--layout"),
     (("report", "paper.csv", "--n", "9", "--references", "annotations"), "--references"),
     (("report", "paper.csv", "--n", "9", "--scorer", "iou", "--any-prompt"),
      "--scorer, --any-prompt"),
     (("report", "paper.csv", "--n", "9", "--mode", "published"), "--mode"),
     (("report", "paper.csv", "--n", "9", "--images", "annotations"), "--images")],
)  # fmt: skip
def test_options_that_would_do_nothing_are_refused(arguments: tuple[str, ...], idle: str) -> None:
    Path("paper.csv").write_text("s,a,b\n1,75.4,\n2,54.05,64.3\n")
    write_lines(Path("mine/1-a/a.jsonl"), [{"id": "1", "answer": "x"}])
    answer = retain(*arguments)
    assert (answer.exit_code, f"{idle} would do nothing" in said(answer)) == (2, True), (
        answer.output
    )


@pytest.mark.parametrize("there", ["mine.jsonl", "link.html", "folder"])
def test_a_page_overwrites_nothing(there: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("mine.jsonl").write_text("mine")
    Path("link.html").symlink_to("mine.jsonl")
    Path("folder").mkdir()
    monkeypatch.setattr("eval.api.report_run", None)  # refused before the work
    answer = retain(*run("report", "--output", there))
    assert (answer.exit_code, "and nothing is overwritten" in said(answer)) == (1, True)
    assert Path("mine.jsonl").read_text() == "mine"


@pytest.mark.parametrize("command", ["eval", "report"])
def test_what_would_be_read_next_time_is_refused(command: str) -> None:
    answer = retain(*run(command, "--out", "LLaVA/GQA/out"))
    assert (answer.exit_code, "is inside LLaVA, which is read" in said(answer)) == (1, True)
    assert not Path("LLaVA/GQA/out").exists()


def test_a_full_disk_leaves_no_half_page(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = sorted(Path().iterdir())
    monkeypatch.setattr("asd_rewriter.output.os.replace", full)
    answer = retain(*run("report", "--output", "page.html"))
    assert "cannot write page.html: No space left on device" in said(answer)
    assert answer.exit_code == 1
    assert sorted(Path().iterdir()) == before


def test_a_page_goes_into_a_pipe_and_nothing_else_does() -> None:
    os.mkfifo("pipe")
    pages: list[str] = []
    reader = Thread(target=lambda: pages.append(Path("pipe").read_text()), daemon=True)
    reader.start()
    answer = retain(*run("report", "--output", "pipe"))
    reader.join(10)
    assert answer.exit_code == 0, answer.output
    assert pages[0].lower().startswith("<!doctype html>")
    assert answer.stdout == ""
    assert "written to pipe" in answer.stderr


def test_json_and_a_page_go_together() -> None:
    answer = retain(*run("report", "--json", "--output", "page.html"))
    assert json.loads(answer.stdout)["version"] == "LLaVA@3"
    assert "LLaVA@3" in Path("page.html").read_text()


def test_bad_predictions_leave_nothing(results: Path) -> None:
    write_lines(results / "GQA/VizWiz/merge.jsonl", [{"question_id": "0", "text": "a"}] * 2)
    for command in ("eval", "report"):
        answer = retain(*run(command, "--out", "out"))
        assert "line 2: id '0' was answered before" in said(answer)
        assert answer.exit_code == 1
    assert not Path("out").exists()
    assert not [path for path in Path().iterdir() if path.name.startswith(".out")]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("command", ["eval", "report"])
def test_an_interrupted_run_leaves_nothing(
    command: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end_while_writing(*_: object) -> None:
        signal.raise_signal(number)

    before = sorted(Path().iterdir())
    monkeypatch.setattr("asd_rewriter.output._rename", end_while_writing)
    answer = retain(*run(command, "--out", "out"))
    assert answer.exit_code == 128 + number
    assert "interrupted: nothing was written to out" in said(answer)
    assert sorted(Path().iterdir()) == before


def test_a_signal_that_is_ignored_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def hang_up(text: str | None) -> None:
        signal.raise_signal(signal.SIGHUP)

    monkeypatch.setattr("service.cli.evaluating.names_in", hang_up)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup starts it
    try:
        answer = retain(*run("eval"))
    finally:
        signal.signal(signal.SIGHUP, before)
    assert answer.exit_code == 0, answer.output


def test_the_folder_in_the_docs_is_made_and_reported(tmp_path: Path) -> None:
    docs = Path(__file__).resolve().parents[2] / "docs" / "evaluate.md"
    made = docs.read_text().partition("python - <<'END'\n")[2].partition("    END\n")[0]
    subprocess.run([sys.executable, "-c", textwrap.dedent(made)], check=True)
    answer = retain("report", "mine", "--output", "mine.html")
    assert answer.exit_code == 0, answer.output
    assert "read as Retain results: 2 tasks, 2 stages, 3 files" in said(answer)
    rows = json.loads(retain("eval", "--predictions", "mine", "--json").stdout)["scores"]
    assert [row["points"] for row in rows] == [75.0, 25.0, 75.0]
    assert [row["metric"] for row in rows] == ["option_letter"] * 2 + ["exact_match"]


def test_progress_is_a_bar_on_stderr(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Console(stderr=True, force_terminal=True, width=100, record=True)
    monkeypatch.setattr(context, "errors", shown)
    answer = retain(*run("eval", "--json"))
    assert len(json.loads(answer.stdout)["scores"]) == 6
    assert "6/6" in shown.export_text()
