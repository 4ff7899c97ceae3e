"""`retain rewrite`: what it prints, refuses and leaves behind."""

from __future__ import annotations

import json
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from rich.console import Console

from asd_rewriter.llm.settings import LlmSettings
from asd_rewriter.planning import Planner
from service.cli import context
from tests.asd_rewriter.conftest import card, png, row
from tests.asd_rewriter.llm.endpoint import Endpoint, Say
from tests.asd_rewriter.sources.test_dataset import colours, read, write
from tests.service.test_cli import retain, said


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write(tmp_path / "rows.json", colours(100))


def test_a_dataset_is_rewritten_and_the_next_step_is_named(source: Path, tmp_path: Path) -> None:
    (tmp_path / "card.json").write_text(card().model_dump_json())
    answer = retain("rewrite", str(source), "--card", "card.json", "--x", "10")
    assert answer.exit_code == 0, answer.output
    assert "10 of 100 turns rewritten" in answer.output
    assert "next: look at rows-asd/changes.jsonl" in answer.output
    assert "detected" not in answer.output
    assert len(read(tmp_path / "rows-asd")) == 100


def test_without_a_card_the_evidence_is_shown(source: Path) -> None:
    answer = retain("rewrite", str(source), "--out", "out")
    assert answer.exit_code == 0, answer.output
    told = said(answer)
    assert "format short_answer: 100 % of the answers are shorter than 13 words" in told
    assert "5 distinct answers over 100 turns: a closed label set" in told
    assert "Which colour is part 0?" in told
    assert "give it with --card" in told
    assert json.loads(Path("out/card.json").read_text())["answer_format"] == "short_answer"


def test_json_is_the_report_and_nothing_else(source: Path) -> None:
    answer = retain("rewrite", str(source), "--formats", "yes_no=1", "--out", "o", "--json")
    report = json.loads(answer.stdout)
    assert report == json.loads(Path("o/report.json").read_text())
    assert report["converted_by_format"] == {"yes_no": 20}


def test_bad_rows_are_listed_or_refused(source: Path) -> None:
    write(source, [*colours(4), row("odd[/]", "What?", " "), 3])
    answer = retain("rewrite", str(source), "--out", "out")
    assert answer.exit_code == 0, answer.output
    assert "odd[/]" in answer.output
    assert "by reason: empty_text 1, not_an_object 1" in answer.output
    answer = retain("rewrite", str(source), "--out", "strict", "--strict")
    assert answer.exit_code == 1
    assert "2 of 6 rows are bad" in answer.output
    assert not Path("strict").exists()


def test_a_card_of_another_task_is_told(source: Path) -> None:
    Path("card.json").write_text(card(answer_format="yes_no").model_dump_json())
    answer = retain("rewrite", str(source), "--out", "out", "--card", "card.json")
    assert answer.exit_code == 0, answer.output
    assert "note: the card says yes_no, and 0 of 100 answers look like it" in said(answer)


@pytest.mark.parametrize(
    ("options", "message"),
    [(("--x", "101"), "101.0 is not a percentage. Give a number from 0 to 100"),
     (("--x", "nan"), "not a percentage"),
     (("--formats", "haiku=1"), "'haiku' is no format to rewrite into; there are short_answer"),
     (("--formats", "box=1"), "'box' is no format"),
     (("--formats", "yes_no=0.5"), "sum to 0.5"),
     (("--formats", "yes_no=1.5,short_answer=-0.5"), "yes_no=1.5 is not a share from 0 to 1"),
     (("--formats", "yes_no=0.5,yes_no=0.5"), "yes_no is named twice"),
     (("--formats", "yes_no"), "which is not a number"),
     (("--formats", "yes_no=nan"), "yes_no=nan is not a share"),
     (("--unit", "row"), "'row' is not one of"), (("--seed", "-1"), "--seed"),
     (("--card", "rows.json"), "is not a JSON object. A card looks like"),
     (("--card", "bad.json"), "not 'bleu'"),
     (("--cache", "c"), "--cache would do nothing"),
     (("--engine", "llm"), "--engine llm needs --llm-url and --llm-model too")],
)  # fmt: skip
def test_wrong_options_are_refused(options: tuple[str, ...], message: str, source: Path) -> None:
    bad = card().model_dump(mode="json") | {"metric": "bleu"}
    Path("bad.json").write_text(json.dumps(bad))
    answer = retain("rewrite", str(source), "--out", "out", *options)
    assert answer.exit_code == 2
    assert message in said(answer)
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [("rows.csv", "id,question", "it is neither a JSON array ('[') nor JSON lines"),
     ("rows.jsonl", '{"id": ', "rows.jsonl, line 1, row 1: not valid JSON"),
     ("none.json", None, "none.json is not there")],
)  # fmt: skip
def test_unreadable_input_is_refused(
    name: str, text: str | None, message: str, source: Path
) -> None:
    if text is not None:
        Path(name).write_text(text)
    answer = retain("rewrite", name, "--out", "out")
    assert answer.exit_code == 1
    assert message in said(answer)
    assert not Path("out").exists()


def test_a_folder_with_something_in_it_is_left_alone(source: Path) -> None:
    Path("out").mkdir()
    Path("out/mine").touch()
    answer = retain("rewrite", str(source), "--out", "out")
    assert answer.exit_code == 1
    assert "is not empty, and nothing is overwritten. Name a new folder." in said(answer)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_run_leaves_nothing(
    number: int, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sorted(Path().iterdir())
    monkeypatch.setattr(Planner, "picks", lambda *_: signal.raise_signal(number))
    answer = retain("rewrite", str(source), "--out", "out")
    assert answer.exit_code == 128 + number
    assert "interrupted: nothing was written to out" in said(answer)
    assert sorted(Path().iterdir()) == before


def test_progress_is_a_bar_on_stderr(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Console(stderr=True, force_terminal=True, width=100, record=True)
    monkeypatch.setattr(context, "errors", shown)
    answer = retain("rewrite", str(source), "--out", "out", "--json")
    assert json.loads(answer.stdout)["rows"] == 100
    bars = shown.export_text()
    assert "detecting the format" in bars
    assert "writing" in bars
    assert "100/100" in bars


def _with_images(source: Path) -> None:
    (source.parent / "card.json").write_text(card().model_dump_json())
    (source.parent / "pictures").mkdir()
    for it in json.loads(source.read_text()):
        (source.parent / "pictures" / it["image"]).write_bytes(png(1))


def test_a_model_rewrites_and_is_asked_once(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "sk-secret")
    with Endpoint() as endpoint:
        options = ("--engine", "llm", "--llm-url", endpoint.url, "--llm-model", "m",
                   "--llm-key-env", "MY_KEY", "--image-root", "pictures", "--card", "card.json",
                   "--json")  # fmt: skip
        _with_images(source)
        answer = retain("rewrite", str(source), *options, "--out", "one", "--cache", "c.db")
        assert answer.exit_code == 0, answer.output
        assert json.loads(answer.stdout)["distractors"] == {"model": 10}
        calls = endpoint.calls
        assert calls == 20
        again = retain("rewrite", str(source), *options, "--out", "two", "--cache", "c.db")
        assert again.exit_code == 0, again.output
        assert endpoint.calls == calls
    assert Path("one/train.json").read_bytes() == Path("two/train.json").read_bytes()
    assert b"sk-secret" not in Path("c.db").read_bytes() + Path("one/report.json").read_bytes()


@pytest.mark.parametrize(
    ("options", "said_is"),
    [
        (["--llm-key-env", "NO_SUCH_KEY"], "the variable NO_SUCH_KEY is not set"),
        (["--llm-url", "ftp://x"], "base_url must be like http://host:8000/v1"),
        ([], "Name their folder with --image-root"),
        (["--image-root", "texts"], ".jpg in texts is not sent: image_"),
        (["--image-root", "."], ".jpg is not in ."),
    ],
)
def test_what_a_model_lacks_is_named(source: Path, options: list[str], said_is: str) -> None:
    _with_images(source)
    Path("texts").mkdir()
    for it in json.loads(source.read_text()):
        Path("texts", it["image"]).write_text("no image")
    with Endpoint() as endpoint:
        given = ["--engine", "llm", "--llm-url", endpoint.url, "--llm-model", "m"]
        given += ["--card", "card.json", *options]
        answer = retain("rewrite", str(source), "--out", "out", *given)
    assert answer.exit_code in (1, 2)
    assert said_is in said(answer)
    assert endpoint.calls == 0
    assert not list(Path().glob("out*"))


def _asking(endpoint: Endpoint, *options: str) -> list[str]:
    return ["--engine", "llm", "--llm-url", endpoint.url, "--llm-model", "m",
            "--image-root", "pictures", "--card", "card.json", *options]  # fmt: skip


def test_a_spent_budget_is_told_with_the_way_to_go_on(source: Path) -> None:
    _with_images(source)
    with Endpoint() as endpoint:
        answer = retain("rewrite", str(source), *_asking(endpoint, "--budget-calls", "2",
                        "--formats", "brief_explanation=1", "--out", "out"))  # fmt: skip
        told = said(answer)
        assert "2 of 100 turns rewritten" in told
        assert "the model's answers are kept in out.cache.db" in told
        way_on = ("--cache", "out.cache.db", "--out", "out-2")
        assert f"repeat the command with {' '.join(way_on[:2])}, {' '.join(way_on[2:])}" in told
        again = retain("rewrite", str(source), *_asking(endpoint, "--budget-calls", "90",
                       "--formats", "brief_explanation=1", *way_on))  # fmt: skip
    assert "20 of 100 turns rewritten" in said(again)
    assert "not done" not in said(again)
    assert endpoint.calls == 20


def test_nothing_rewritten_is_nothing_to_train_on(source: Path) -> None:
    _with_images(source)
    with Endpoint(lambda request: Say("I cannot see it")) as endpoint:
        answer = retain("rewrite", str(source), *_asking(endpoint, "--out", "out",
                        "--formats", "brief_explanation=1"))  # fmt: skip
    told = said(answer)
    assert "not done: no answer of the model was of use. Try another --llm-model" in told
    assert "nothing was rewritten: out holds the rows of the input" in told
    assert "train on the set" not in told


def test_an_endpoint_that_is_down_leaves_no_half_set(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LlmSettings.model_fields["retries"], "default", 0)
    LlmSettings.model_rebuild(force=True)
    given = ["--engine", "llm", "--llm-url", "http://127.0.0.1:9/v1", "--llm-model", "m"]
    answer = retain("rewrite", str(source), "--out", "out", *given)
    assert answer.exit_code == 1
    assert "http://127.0.0.1:9/v1" in said(answer)
    assert not Path("out").exists()
    monkeypatch.undo()
    LlmSettings.model_rebuild(force=True)


@pytest.mark.parametrize(
    ("cache", "message"),
    [
        ("card.json", "card.json cannot keep the model's answers: file is not a database"),
        ("pictures", "pictures cannot keep the model's answers: unable to open database file"),
        ("other.db", "other.db cannot keep the model's answers: it is a database of something"),
        ("out/c.db", "out/c.db is inside out, which has to be new. Name a file elsewhere"),
    ],
)
def test_a_cache_that_cannot_be_one_is_refused_before_anything_is_asked(
    source: Path, cache: str, message: str
) -> None:
    _with_images(source)
    with closing(sqlite3.connect("other.db")) as db:
        db.execute("CREATE TABLE replies (y)")
        db.commit()
    with Endpoint() as endpoint:
        answer = retain("rewrite", str(source), *_asking(endpoint, "--cache", cache,
                        "--out", "out"))  # fmt: skip
    assert message in " ".join(said(answer).split())
    assert (answer.exit_code != 0, endpoint.calls) == (True, 0)
    assert not Path("out").exists()


def test_where_the_answers_are_is_told_beside_json(source: Path) -> None:
    _with_images(source)
    with Endpoint() as endpoint:
        answer = retain("rewrite", str(source), *_asking(endpoint, "--budget-calls", "2",
                        "--formats", "brief_explanation=1", "--out", "a b", "--json"))  # fmt: skip
    assert json.loads(answer.stdout)["converted"] == 2
    told = " ".join(answer.stderr.split())
    assert "the model's answers are kept in a b.cache.db" in told
    assert "--cache 'a b.cache.db', --out 'a b-2'" in told
