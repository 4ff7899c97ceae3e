"""Rows, predictions, references: what is read, and what is refused with its line."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest

from eval.results.errors import PredictionsMismatch, ReferencesRefused, ResultsRefused
from eval.results.files import read_rows
from eval.results.finding import ReferenceSource
from eval.results.predictions import MAX_ANSWER_CHARS, read_predictions
from eval.results.references import guess_metric, items_of, read_references
from tests.eval.results.folders import RIGHT, annotations, questions, write_json, write_lines


def test_rows_are_lines_or_an_array(tmp_path: Path) -> None:
    rows = [{"id": 1, "text": "a"}, {"id": 2, "text": "b\u2028c"}]
    lines = write_lines(tmp_path / "a.jsonl", rows)
    array = write_json(tmp_path / "a.json", rows)
    assert [row.value for row in read_rows(lines)] == rows
    assert [row.value for row in read_rows(array)] == rows
    assert read_rows(lines)[1].place.endswith("a.jsonl, line 2")
    lines.write_text("\ufeff\n" + lines.read_text(), encoding="utf-8")
    assert read_rows(lines)[1].place.endswith("a.jsonl, line 3")
    lines.write_text('{"id": 1, "text": "\\ud83d\\ude00"}')
    assert read_rows(lines)[0].value["text"] == "\U0001f600"


@pytest.mark.parametrize(
    ("text", "message"),
    [('{"id": 1, "text": "a"}\n{"id": ', r"p.jsonl, line 2, character 8: not valid JSON"),
     ('{"id": 1, "text": NaN}', "line 1: NaN is no number"),
     ('{"id": 1, "id": 2, "text": "a"}', "line 1: 'id' is there twice in one object"),
     ('{"id": 1, "text": "x\\ud83d"}', r"line 1: '\\ud83d' is half a character"),
     ('{"id": 1, "text": "a", "x": -Infinity}', "line 1: -Infinity is no number"),
     ("[1]\n", "line 1: expected a JSON object, got"), ("", "holds no prediction"),
     ('{"text": "a"}', "line 1: no id"), ('{"id": null, "text": "a"}', "no id"),
     ('{"id": true, "text": "a"}', "id is True"), ('{"id": 1}', "no answer"),
     ('{"id": 1, "text": null}', "text is None, expected a text"),
     ('{"id": 1, "text": 3}', "text is 3, expected a text")],
)  # fmt: skip
def test_predictions_that_cannot_be_read(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text(text)
    with pytest.raises(ResultsRefused, match=message):
        read_predictions(tmp_path / "p.jsonl")


def test_a_broken_array_names_the_line(tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text('[\n{"id": 1, "text": "a"},\n{"id": 2 "text"}]')
    with pytest.raises(ResultsRefused, match=r"p\.json, line 3: not valid JSON"):
        read_predictions(tmp_path / "p.json")


def test_files_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(ResultsRefused, match="not a text file in UTF-8"):
        read_predictions(tmp_path / "p.jsonl")
    with pytest.raises(ResultsRefused, match="cannot read"):
        read_predictions(tmp_path)


def test_predictions_of_every_script(tmp_path: Path) -> None:
    path = write_lines(
        tmp_path / "p.jsonl",
        [{"question_id": 7, "text": "a", "prompt": "What?"}, {"id": "x", "answer": ""},
         {"questionId": "9", "prediction": "b"}],
    )  # fmt: skip
    found = read_predictions(path)
    assert {key: it.answer for key, it in found.items()} == {"7": "a", "x": "", "9": "b"}
    assert found["7"].prompt == "What?"


def test_an_id_twice_is_refused_with_both_lines(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "p.jsonl", [{"id": 1, "text": "a"}, {"id": "1", "text": "a"}])
    with pytest.raises(PredictionsMismatch, match=r"line 2: id '1' was answered before, .*line 1"):
        read_predictions(path)


def test_an_overlong_answer_is_refused(tmp_path: Path) -> None:
    long = "a" * (MAX_ANSWER_CHARS + 1)
    path = write_lines(tmp_path / "p.jsonl", [{"id": 1, "text": long}])
    with pytest.raises(ResultsRefused, match=r"100,001 characters, the limit is 100,000"):
        read_predictions(path)


def test_references_in_coins_form(tmp_path: Path) -> None:
    path = write_json(tmp_path / "test.json", questions("GQA", RIGHT))
    rows = read_references(path)
    (item, *_) = items_of("GQA", rows, "exact_match")
    assert (item.id, item.references, item.task) == ("0", ("thing 0",), "GQA")
    assert item.question == "What is in GQA 0?"
    assert item.prompt.endswith("single word or phrase.")
    assert guess_metric(rows) == "exact_match"


def test_items_with_the_same_words_stay_different() -> None:
    rows = read_references_of([{"id": n, "question": "What?", "answer": "a"} for n in range(3)])
    assert len({item.digest for item in items_of("t", rows, "exact_match")}) == 3


def read_references_of(rows: object) -> list[Any]:
    with tempfile.TemporaryDirectory() as folder:
        return read_references(write_json(Path(folder) / "r.json", rows))


@pytest.mark.parametrize(
    ("row", "answers", "metric"),
    [({"answer": "red"}, ("red",), "exact_match"), ({"answer": 4}, ("4",), "exact_match"),
     ({"answers": ["a", "b", "b"]}, ("a", "b", "b"), "vqa_soft"),
     ({"answers": [{"answer": "a"}, {"answer": "b"}]}, ("a", "b"), "exact_match"),
     ({"answer": 1, "choices": ["x", "y"]}, ("B",), "option_letter"),
     ({"answer": "x", "answer_bbox": "[0.1, 0.2, 0.3, 0.4]"}, ("[0.1, 0.2, 0.3, 0.4]",), "iou"),
     ({"answer_bbox": [0.1, 0.2, 0.3, 0.4]}, ("[0.1, 0.2, 0.3, 0.4]",), "iou")],
)  # fmt: skip
def test_answers_of_every_dataset(
    row: dict[str, object], answers: tuple[str, ...], metric: str
) -> None:
    rows = read_references_of([{"id": 1, "question": "?", **row}])
    assert rows[0].answers == answers
    assert guess_metric(rows) == metric


def test_originals_by_id_and_conversations() -> None:
    gqa = read_references_of({"12": {"question": "What?", "answer": "cat", "isBalanced": True}})
    assert (gqa[0].id, gqa[0].question, gqa[0].answers) == ("12", "What?", ("cat",))
    textvqa = read_references_of({"data": [{"question_id": 3, "question": "?", "answers": ["a"]}]})
    assert textvqa[0].id == "3"
    said = [{"from": "human", "value": "<image>\nWho?"}, {"from": "gpt", "value": "me"}]
    (one,) = read_references_of([{"id": "a", "image": "a.png", "conversations": said}])
    assert (one.id, one.question, one.answers, one.image) == ("a", "Who?", ("me",), "a.png")
    two = read_references_of([{"id": "a", "conversations": said * 2}])
    assert [row.id for row in two] == ["a#0", "a#1"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [([], "holds no question"), ([{"id": 1, "text": "?"}], "has no answer that counts as right"),
     ([{"id": 1, "answer": "a"}, {"id": "1", "answer": "b"}], "id '1' was there before"),
     ([{"id": 1, "answer": [None]}], "None is no answer"), ({"a": 1}, "where a question is"),
     ({"data": [1, 2]}, "row 1: 1 where a question is expected"),
     ([1], "row 1: 1 where a question is"), (1, "r.json: 1 where a question is"),
     ([{"id": 1, "answer": 9, "choices": ["x"] * 12}],
      r"row 1: answer 9 of 12 choices; the letters go to H, choice 7"),
     ([{"id": 1, "conversations": "x"}], "conversations is 'x'"),
     ({"annotations": [{"image_id": 1}]}, "not in COCO's caption format")],
)  # fmt: skip
def test_references_that_cannot_be_used(rows: object, message: str) -> None:
    with pytest.raises(ReferencesRefused, match=message):
        read_references_of(rows)


def test_votes_are_joined_by_id(tmp_path: Path) -> None:
    asked = write_json(tmp_path / "test.json", questions("TextVQA", {"5": "a", "3": "b"}))
    votes = [{"question_id": n, "question": "?", "answers": [f"v{n}"] * 10} for n in (3, 4, 5)]
    original = write_json(tmp_path / "TextVQA_0.5.1_val.json", {"data": votes})
    assert [row.answers[0] for row in read_references(asked, original)] == ["v5", "v3"]
    write_json(original, {"data": votes[:1]})
    with pytest.raises(ReferencesRefused, match=r"1 of 2 questions have no answer in .*'5'"):
        read_references(asked, original)


def test_captions_are_joined_by_file_name_or_by_place(tmp_path: Path) -> None:
    rows = [{"question_id": f"q{n}", "text": "Describe.", "image": f"v/{n}.jpg"} for n in (8, 9)]
    asked = write_json(tmp_path / "test_3000.json", rows)
    texts = [{"image_id": n, "caption": f"c{n}{k}"} for n in (1, 2) for k in "ab"]
    by_place = write_json(tmp_path / "val_coco_type.json", {"annotations": texts})
    assert [row.answers for row in read_references(asked, by_place)] == [
        ("c1a", "c1b"),
        ("c2a", "c2b"),
    ]
    write_json(asked, [{**row, "question_id": n} for n, row in enumerate(rows)])
    assert read_references(asked, by_place)[0].answers == ("c1a", "c1b")  # 0 is no image's number
    named = {"images": [{"id": 2, "file_name": "8.jpg"}, {"id": 1, "file_name": "9.jpg"}]}
    by_name = write_json(tmp_path / "named.json", {**named, "annotations": texts})
    assert [row.answers[0] for row in read_references(asked, by_name)] == ["c2a", "c1a"]


def test_images_of_one_name_in_two_folders_keep_their_own_captions(tmp_path: Path) -> None:
    rows = [{"question_id": n, "text": "Describe.", "image": f"{n}/8.jpg"} for n in "ab"]
    asked = write_json(tmp_path / "test.json", rows)
    named = [{"image": f"{n}/8.jpg", "id": f"c{n}", "answer": f"caption {n}"} for n in "ba"]
    captions = write_json(tmp_path / "captions.json", named)
    assert [row.answers for row in read_references(asked, captions)] == [
        ("caption a",),
        ("caption b",),
    ]
    elsewhere = [{**it, "image": f"c/{it['image']}", "id": n} for n, it in enumerate(named, 1)]
    write_json(captions, elsewhere)  # their ids would fit the questions' places
    with pytest.raises(ReferencesRefused, match="2 of 2 questions have no answer"):
        read_references(asked, captions)
    for image in ("8.jpg", "c/8.jpg"):  # one for two, or none for either
        write_json(captions, [{**named[0], "image": image}])
        with pytest.raises(ReferencesRefused, match="2 of 2 questions have no answer"):
            read_references(asked, captions)


def test_captions_of_one_image_in_several_rows_all_count(tmp_path: Path) -> None:
    asked = write_json(tmp_path / "test.json", [{"question_id": "q", "image": "v/1.jpg"}])
    rows = [{"image": "1.jpg", "id": n, "answer": f"c{n}"} for n in "ab"]
    assert read_references(asked, write_json(tmp_path / "c.json", rows))[0].answers == ("ca", "cb")


def test_references_are_found_by_the_tasks_name(tmp_path: Path) -> None:
    annotations(tmp_path / "annotations", ["ScienceQA", "TextVQA"])
    annotations(tmp_path / "annotations", ["VizWiz"], "val.json")
    annotations(tmp_path / "annotations", ["CLEVR-Math"], "test_3000.json")
    write_json(tmp_path / "TextVQA" / "TextVQA_0.5.1_val.json", {"data": []})
    write_lines(tmp_path / "annotations" / "OCR-VQA.jsonl", [{"id": 1}])
    source = ReferenceSource([tmp_path / "annotations"], {"own": tmp_path / "x.json"})
    (tmp_path / "x.json").touch()
    assert source.find("1_scienceqa").questions.match("ScienceQA/test.json")
    assert source.find("VizWiz").questions.name == "val.json"
    assert source.find("CLEVR").questions.name == "test_3000.json"
    assert source.find("OCRVQA").questions.name == "OCR-VQA.jsonl"
    assert source.find("Own").questions.name == "x.json"
    text = source.find("TextVQA")
    assert text.answers == tmp_path / "TextVQA" / "TextVQA_0.5.1_val.json"


def test_a_captions_file_beside_the_questions_holds_their_answers(tmp_path: Path) -> None:
    annotations(tmp_path, ["VizWiz-caption"], "test_3000.json")
    write_json(tmp_path / "VizWiz-caption" / "val_coco_type_3000.json", {})
    found = ReferenceSource([tmp_path]).find("VizWiz")
    assert (found.questions.name, found.answers and found.answers.name) == (
        "test_3000.json",
        "val_coco_type_3000.json",
    )


def test_references_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(ReferencesRefused, match=r"task 'GQA' were not found; looked in nowhere"):
        ReferenceSource().find("GQA")
    with pytest.raises(ReferencesRefused, match=r"looked in .*none"):
        ReferenceSource([tmp_path / "none"]).find("GQA")
    annotations(tmp_path, ["GQA"], "test_a.json")
    annotations(tmp_path, ["GQA"], "test_b.json")
    with pytest.raises(ReferencesRefused, match=r"test_a.json, test_b.json: name the one"):
        ReferenceSource([tmp_path]).find("GQA")


def test_what_a_person_may_write_is_what_is_read(tmp_path: Path) -> None:
    (tmp_path / "science.jsonl").write_text('{"id": "1", "question": "Which?", "answer": "B"}\n')
    rows = read_references(tmp_path / "science.jsonl")
    assert json.dumps(rows[0].answers) == '["B"]'
