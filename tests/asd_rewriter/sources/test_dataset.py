"""Datasets on disk, from input to a finished folder."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

import asd_rewriter
from asd_rewriter.api import DatasetReport, rewrite_dataset
from asd_rewriter.errors import OutputRefused
from asd_rewriter.formats import INSTRUCTIONS, AnswerFormat, strip_instruction
from asd_rewriter.sources.base import Kind
from asd_rewriter.sources.errors import InputRefused
from asd_rewriter.sources.opening import open_source
from tests.asd_rewriter.conftest import card, row

SHORT, YES_NO, CHOICE, BRIEF, DETAILED, BOX, CAPTION = AnswerFormat
LINE = INSTRUCTIONS[SHORT]
COLOURS = ("red", "blue", "green", "pink", "white")


def colours(number: int) -> list[Any]:
    return [row(f"r{n}", f"Which colour is part {n}?\n{LINE}", COLOURS[n % 5], f"{n}.jpg", extra=n)
            for n in range(number)]  # fmt: skip


def write(path: Path, rows: list[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = path.suffix == ".jsonl"
    path.write_text("\n".join(map(json.dumps, rows)) if lines else json.dumps(rows))
    return path


def read(folder: Path) -> list[Any]:
    lines = folder / "train.jsonl"
    if lines.exists():
        return [json.loads(line) for line in lines.read_text().splitlines()]
    found = json.loads((folder / "train.json").read_text())
    assert isinstance(found, list)
    return found


def changes(folder: Path) -> list[Any]:
    return [json.loads(line) for line in (folder / "changes.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("name", ["rows.json", "rows.jsonl"])
def test_a_share_is_rewritten_and_the_rest_stays(name: str, tmp_path: Path) -> None:
    rows = colours(1100)
    report = rewrite_dataset(write(tmp_path / name, rows), tmp_path / "out", card())
    written = read(tmp_path / "out")
    assert (report.rows, report.converted, report.bad_rows) == (1100, 220, {})
    assert sum(one != two for one, two in zip(rows, written, strict=True)) == 220
    for one, two in zip(rows, written, strict=True):
        assert {k: v for k, v in one.items() if k != "conversations"} == {
            k: v for k, v in two.items() if k != "conversations"
        }
    assert (tmp_path / "out" / f"train{Path(name).suffix}").exists()
    assert DatasetReport.model_validate_json((tmp_path / "out/report.json").read_text()) == report


def test_changes_say_what_became_of_a_row(tmp_path: Path) -> None:
    source = write(tmp_path / "rows.json", colours(50))
    rewrite_dataset(source, tmp_path / "out", card())
    written = read(tmp_path / "out")
    told = changes(tmp_path / "out")
    assert len(told) == 10
    for change in told:
        asked, answered = written[change["row"] - 1]["conversations"]
        question, found = strip_instruction(asked["value"].removeprefix("<image>\n"))
        assert (question, answered["value"]) == (
            change["after"]["question"], change["after"]["answer"],
        )  # fmt: skip
        assert found == change["after"]["format"] != change["before"]["format"]
        assert change["key"] == f"r{change['row'] - 1}#0"


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    source = write(tmp_path / "rows.json", colours(60))
    for out, seed in (("a", 1), ("b", 1), ("c", 2)):
        rewrite_dataset(source, tmp_path / out, card(), 50, seed=seed)
    a, b, c = ((tmp_path / it / "train.json").read_bytes() for it in "abc")
    assert a == b != c


def test_the_cards_own_wording_is_stripped_and_written(tmp_path: Path) -> None:
    rows = [row(f"{n}", "What?\nOne word!", f"a{n}") for n in range(8)]
    told = card(instructions={"short_answer": "One word!"})
    rewrite_dataset(write(tmp_path / "rows.json", rows), tmp_path / "out", told, 0)
    assert read(tmp_path / "out") == rows


BAD = [3, {"id": "b1"}, row("b2", "What?", " "), {"id": [], "conversations": []}]


def test_bad_rows_stay_in_place_and_are_counted(tmp_path: Path) -> None:
    rows = colours(30)
    for at in (0, 7, 8, 34 - 1):
        rows.insert(at, BAD[at % 4])
    report = rewrite_dataset(write(tmp_path / "rows.json", rows), tmp_path / "out", card(), 50)
    written = read(tmp_path / "out")
    assert [written[at] for at in (0, 7, 8, 33)] == [rows[at] for at in (0, 7, 8, 33)]
    assert [it["id"] for it in written if isinstance(it, dict)] == [
        it["id"] for it in rows if isinstance(it, dict)
    ]
    assert sum(report.bad_rows.values()) == 4
    assert [it.row for it in report.bad_spots] == [1, 8, 9, 34]
    assert (report.rows, report.turns) == (34, 30)


def test_many_bad_rows_name_the_first_twenty(tmp_path: Path) -> None:
    rows = [*colours(5), *[row(f"e{n}", "What?", "") for n in range(700)], *colours(2)]
    report = rewrite_dataset(write(tmp_path / "rows.jsonl", rows), tmp_path / "out", card())
    assert report.bad_rows == {"empty_text": 700}
    assert [(it.line, it.row, it.id) for it in report.bad_spots][::19] == [
        (6, 6, "e0"), (25, 25, "e19"),
    ]  # fmt: skip
    assert [it["id"] for it in read(tmp_path / "out")] == [it["id"] for it in rows]


def test_strict_refuses_bad_rows_and_leaves_nothing(tmp_path: Path) -> None:
    source = write(tmp_path / "rows.jsonl", [*colours(5), *BAD])
    with pytest.raises(InputRefused, match=r"(?s)4 of 9 rows.*row 7, line 7, id 'b1'"):
        rewrite_dataset(source, tmp_path / "out", card(), strict=True)
    assert list(tmp_path.iterdir()) == [source]


def test_ids_that_repeat_or_lack_do_not_mix_rows_up(tmp_path: Path) -> None:
    rows = [row("same", f"Which is {n}?", COLOURS[n % 5]) for n in range(10)]
    del rows[3]["id"]
    rewrite_dataset(write(tmp_path / "rows.json", rows), tmp_path / "out", card(), 100)
    keys = [it["key"] for it in changes(tmp_path / "out")]
    assert len(set(keys)) == 10
    assert keys[0] == "same#0"
    assert keys[3] == "row-4#0"
    assert [it.get("id") for it in read(tmp_path / "out")] == [it.get("id") for it in rows]


def test_without_a_card_one_is_made(tmp_path: Path) -> None:
    source = write(tmp_path / "Bus Colours.json", colours(200))
    report = rewrite_dataset(source, tmp_path / "out", x_percent=10)
    assert report.detection is not None
    assert report.card == report.detection.card
    assert report.card.labels == tuple(sorted(COLOURS))
    again = rewrite_dataset(source, tmp_path / "again", report.card, 10)
    assert again.card.name == "bus-colours"
    assert json.loads((tmp_path / "out/card.json").read_text())["name"] == "bus-colours"
    assert read(tmp_path / "out") == read(tmp_path / "again")


def test_turns_of_a_mixed_task_have_their_own_formats(tmp_path: Path) -> None:
    rows = [row(f"{n}", *it) for n, it in enumerate([
        ("What?", "red"), ("Is it red?", "yes"), ("Which?\nA. red\nB. blue", "(B)"),
        ("Where?", "[0.1, 0.1, 0.2, 0.2]"), ("Why?", "word " * 50), ("What else?", "blue"),
    ])]  # fmt: skip
    report = rewrite_dataset(write(tmp_path / "rows.json", rows), tmp_path / "out", x_percent=0)
    assert report.counts == {SHORT: 2, YES_NO: 1, CHOICE: 1, DETAILED: 1, BOX: 1}
    texts = [it["conversations"] for it in read(tmp_path / "out")]
    assert texts[2][1]["value"] == "(B)"
    assert texts[2][0]["value"].endswith("\n" + INSTRUCTIONS[CHOICE])


def test_whole_samples_can_be_the_unit(tmp_path: Path) -> None:
    turns = [{"from": who, "value": text} for n in range(3)
             for who, text in (("human", f"Which {n}?"), ("gpt", COLOURS[n]))]  # fmt: skip
    rows = [{"id": str(n), "conversations": turns} for n in range(20)]
    source = write(tmp_path / "rows.json", rows)
    rewrite_dataset(source, tmp_path / "out", card(), 20, unit="sample", formats={CHOICE: 1.0})
    assert len({it["row"] for it in changes(tmp_path / "out")}) == 4


@pytest.mark.parametrize(
    "wrong", [{"x_percent": 101}, {"x_percent": -1}, {"formats": {"yes_no": 0.5}}, {"seed": -1},
              {"formats": {"box": 1}}, {"unit": "row"}]
)  # fmt: skip
def test_wrong_plans_are_refused(wrong: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ValidationError):
        rewrite_dataset(tmp_path / "none", tmp_path / "out", card(), **wrong)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "message"),
    [('[{"id": 1}, {"id"', "line 1, row 2"), ('{"id": 1}\n{"id"\n', "line 2, row 2"),
     ("id,question\n", "neither a JSON array"), ("", "is empty"), ("[]", "no rows"),
     ("[3, 4]", "row 1: the row is a number"), (b"[\xff]", "not UTF-8")],
)  # fmt: skip
def test_unreadable_input_is_refused(text: str | bytes, message: str, tmp_path: Path) -> None:
    source = tmp_path / "rows.json"
    source.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputRefused, match=message):
        rewrite_dataset(source, tmp_path / "out")
    assert list(tmp_path.iterdir()) == [source]


def test_a_card_may_be_a_mapping_and_kinds_are_checked_first(tmp_path: Path) -> None:
    source = write(tmp_path / "rows.json", colours(5))
    report = rewrite_dataset(source, tmp_path / "out", card().model_dump(), kind="jsonl")
    assert (report.card, report.kind) == (card(), "jsonl")
    with pytest.raises(OutputRefused, match=r"'xml' is .* Choose json, jsonl, hf"):
        rewrite_dataset(source, tmp_path / "other", kind="xml")
    assert not (tmp_path / "other").exists()


def test_an_output_that_is_there_is_never_touched(tmp_path: Path) -> None:
    source = write(tmp_path / "rows.json", colours(5))
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine").write_text("x")
    for out in ("full", "rows.json"):
        with pytest.raises(OutputRefused):
            rewrite_dataset(source, tmp_path / out, card())
    with pytest.raises(OutputRefused, match="cannot make a folder"):
        rewrite_dataset(source, source / "under/a/file", card())
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(OutputRefused, match="symbolic link"):
        rewrite_dataset(source, tmp_path / "link", card())
    (tmp_path / "empty").mkdir()
    rewrite_dataset(source, tmp_path / "empty", card())
    assert (tmp_path / "empty/train.json").exists()


@pytest.mark.parametrize("stage", ["detect", "read", "write"])
def test_a_run_that_is_cancelled_leaves_nothing(stage: str, tmp_path: Path) -> None:
    source = write(tmp_path / "rows.json", colours(600))

    def cancel(now: str, done: int, total: int | None) -> None:
        if now == stage:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rewrite_dataset(source, tmp_path / "out", on_progress=cancel)
    assert list(tmp_path.iterdir()) == [source]


def test_progress_goes_up_to_the_number_of_rows(tmp_path: Path) -> None:
    told: list[tuple[str, int, int | None]] = []
    rewrite_dataset(
        write(tmp_path / "rows.json", colours(600)), tmp_path / "out",
        on_progress=lambda *it: told.append(it),
    )  # fmt: skip
    assert told[-1] == ("write", 600, 600)
    assert {it[0] for it in told} == {"detect", "read", "write"}


CoinTree = Callable[[str], Path]


def test_a_coin_task_is_read_as_it_lies(tmp_path: Path) -> None:
    write(tmp_path / "annotations/GQA/train.json", colours(4))
    ours = tmp_path / "annotations/OCRVQA"
    write(ours / "train.json", [])
    write(ours / "train_ori.json", colours(3))
    source = open_source(tmp_path / "annotations/GQA")
    assert (source.name, source.kind, len(list(source.rows()))) == ("GQA", Kind.JSON, 4)
    assert open_source(ours / "train_ori.json").name == "OCRVQA"
    assert len(list(open_source(ours).rows())) == 3
    for folder in (tmp_path, tmp_path / "annotations"):
        with pytest.raises(InputRefused, match=r"2 tasks: .*GQA, .*OCRVQA"):
            open_source(folder)


def test_a_folder_of_jsonl_files_is_one_dataset(tmp_path: Path) -> None:
    write(tmp_path / "in/data/train-1.jsonl", colours(3))
    write(tmp_path / "in/data/train-2.jsonl", [4, *colours(2)])
    write(tmp_path / "in/data/test-1.jsonl", colours(9))
    report = rewrite_dataset(tmp_path / "in", tmp_path / "out", card())
    assert (report.rows, report.kind) == (6, Kind.JSONL)
    assert [(it.line, it.row) for it in report.bad_spots] == [(1, 4)]
    with pytest.raises(InputRefused, match="holds no dataset"):
        open_source(tmp_path)
    with pytest.raises(InputRefused, match="is not there"):
        open_source(tmp_path / "none")


def test_the_other_json_form_can_be_written(tmp_path: Path) -> None:
    source = write(tmp_path / "rows.json", colours(5))
    rewrite_dataset(source, tmp_path / "out", card(), 0, kind=Kind.JSONL)
    assert read(tmp_path / "out") == colours(5)


def test_halves_of_characters_are_written_as_escapes(tmp_path: Path) -> None:
    rows = [*colours(1), {"id": "1", "odd": "\ud800"}]
    rewrite_dataset(write(tmp_path / "rows.json", rows), tmp_path / "out", card(), 0)
    assert read(tmp_path / "out") == rows


def test_the_package_offers_the_call_and_stays_light() -> None:
    assert asd_rewriter.rewrite_dataset is rewrite_dataset
    with pytest.raises(AttributeError):
        asd_rewriter.nothing  # noqa: B018


def test_a_row_that_stays_is_written_as_it_came(tmp_path: Path) -> None:
    text = json.dumps(colours(1)[0] | {"name": "\u00e9"}).replace('"extra": 0', '"extra":  1.50')
    assert "\\u00e9" in text
    (tmp_path / "rows.json").write_text(f"[{text} ,\n{text}]")
    rewrite_dataset(tmp_path / "rows.json", tmp_path / "out", card(), 0)
    assert (tmp_path / "out/train.json").read_text() == f"[\n{text},\n{text}\n]\n"


def test_rows_over_several_lines_become_one_line_each(tmp_path: Path) -> None:
    rows = [*colours(3), {"id": "bad"}]
    (tmp_path / "rows.json").write_text(json.dumps(rows, indent=1))
    rewrite_dataset(tmp_path / "rows.json", tmp_path / "out", card(), 0, kind=Kind.JSONL)
    assert read(tmp_path / "out") == rows


def test_a_row_that_changes_between_readings_is_refused(tmp_path: Path) -> None:
    source = write(tmp_path / "rows.json", colours(20))

    def damage(stage: str, done: int, total: int | None) -> None:
        if stage == "read":
            write(source, [{"id": "x"}] * 20)

    with pytest.raises(InputRefused, match="is not what it was"):
        rewrite_dataset(source, tmp_path / "out", card(), 100, on_progress=damage)
    assert not (tmp_path / "out").exists()


def test_the_garbage_collector_is_left_as_it_was(tmp_path: Path) -> None:
    before = gc.get_threshold()
    rewrite_dataset(write(tmp_path / "rows.json", colours(5)), tmp_path / "out", card())
    assert gc.get_threshold() == before


@pytest.mark.parametrize(("said", "metric"), [(CHOICE, "option_letter"), (YES_NO, "exact_match")])
def test_a_card_that_contradicts_every_row_is_told_or_refused(
    said: AnswerFormat, metric: str, tmp_path: Path
) -> None:
    source = write(tmp_path / "rows.json", colours(40))
    wrong = {"name": "odd", "answer_format": said, "metric": metric}
    (note,) = rewrite_dataset(source, tmp_path / "out", wrong).notes
    assert f"the card says {said.value}, and 0 of 40 answers look like it" in note
    assert "(short_answer 40)" in note
    with pytest.raises(InputRefused, match="Correct the card's answer_format"):
        rewrite_dataset(source, tmp_path / "strict", wrong, strict=True)
    assert not (tmp_path / "strict").exists()


def test_a_mixed_task_does_not_contradict_its_card(tmp_path: Path) -> None:
    rows = [row(f"y{n}", f"Is it {n}?", "yes") for n in range(40)]
    assert rewrite_dataset(write(tmp_path / "a.json", rows), tmp_path / "a", card()).notes == []
    wrong = {"name": "odd", "answer_format": YES_NO, "metric": "exact_match"}
    source = write(tmp_path / "b.json", [*rows[:2], *colours(38)])
    assert rewrite_dataset(source, tmp_path / "b", wrong, strict=True).notes == []


def test_a_dataset_without_a_good_row_is_named(tmp_path: Path) -> None:
    source = write(tmp_path / "changes.jsonl", [{"key": "1"}])
    with pytest.raises(InputRefused, match=r"no good row was found in .*changes.jsonl, so no"):
        rewrite_dataset(source, tmp_path / "out")


def test_a_result_is_not_put_where_it_would_be_read(tmp_path: Path) -> None:
    write(tmp_path / "in/rows.jsonl", colours(4))
    with pytest.raises(OutputRefused, match=r"in/data is inside .*/in, which is read"):
        rewrite_dataset(tmp_path / "in", tmp_path / "in/data", card())
    assert rewrite_dataset(tmp_path / "in/rows.jsonl", tmp_path / "in/out", card()).rows == 4
