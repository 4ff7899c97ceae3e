"""Validation: what is accepted and written, every rule, leaks, hold-out, clean refusals."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from asd_rewriter.archive import open_archive
from asd_rewriter.errors import AsdError, InvalidRows
from asd_rewriter.fingerprints import reserve
from asd_rewriter.images import ImageLimits
from asd_rewriter.problems import ValidationReport
from asd_rewriter.samples import read_samples
from asd_rewriter.validation import Progress, RowLimits, ValidatedTask, validate_task
from tests.asd_rewriter.conftest import MakeArchive, card, digest_of, png, row

SHORT = "\nAnswer the question using a single word or phrase."


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def run(path: Path, out: Path, task: Any = None, **more: Any) -> ValidatedTask:
    with open_archive(path) as archive:
        return validate_task(archive, task or card(), more.pop("put", digest_of), out, **more)


def report_of(path: Path, out: Path, task: Any = None, **more: Any) -> ValidationReport:
    stored: list[bytes] = []
    with pytest.raises(InvalidRows) as caught:
        run(path, out, task, put=stored.append, **more)
    assert stored == []
    assert list(out.iterdir()) == []
    return caught.value.report


def rows(number: int, start: int = 0) -> list[Any]:
    return [row(f"r{n}", f"What is number {n}?{SHORT}", f"n{n}", f"images/{n % 5}.png")
            for n in range(start, start + number)]  # fmt: skip


IMAGES = {f"images/{n}.png": png(n) for n in range(5)}


@pytest.mark.parametrize("kind", ["zip", "tar", "tgz"])
def test_a_valid_task(pack: MakeArchive, out: Path, kind: str) -> None:
    stored: dict[str, bytes] = {}

    def put(data: bytes) -> str:
        stored[digest_of(data)] = data
        return digest_of(data)

    path = pack({"train.json": rows(20), "test.json": rows(4, 50), **IMAGES}, kind)
    task = run(path, out, card(splits={"train": "train.json", "eval": "test.json"}), put=put)
    assert (task.num_train, task.num_eval) == (20, 4)
    assert task.images == set(stored) == {digest_of(it) for it in IMAGES.values()}
    assert task.report.valid
    assert task.report.counts["turns"] == 24
    first = next(read_samples(task.train_path))
    assert first.id == "r0"
    assert first.images == (digest_of(IMAGES["images/0.png"]),)
    assert first.turns[0].model_dump(mode="json") == {
        "question": "What is number 0?", "answer": "n0", "format": "short_answer", "references": [],
    }  # fmt: skip
    assert sorted(it.name for it in out.iterdir()) == ["eval.jsonl", "train.jsonl"]


def test_one_row(pack: MakeArchive, out: Path) -> None:
    """Several turns, several images, references per turn, detected yes/no, a text-only row."""
    value = {
        "id": 7,
        "images": ["a.png", "./b.png"],
        "conversations": [
            {"from": "human", "value": "<image>\n<image>\nIs it red?\nAnswer yes or no."},
            {"from": "gpt", "value": "Yes"},
            {"from": "human", "value": "What is it?"},
            {"from": "gpt", "value": " bus \n"},
        ],
        "answers": [[], ["bus", {"answer": "coach"}]],
        "unknown": 1,
    }
    path = pack({"train.json": [value, row("text", "Hm?", "x")], "a.png": png(), "b.png": png(1)})
    task = run(path, out)
    samples = [*read_samples(task.train_path), *read_samples(task.eval_path)]
    made = next(it for it in samples if it.id == "7")
    assert len(made.images) == 2
    assert [(it.question, it.answer, it.format.value, it.references) for it in made.turns] == [
        ("Is it red?", "Yes", "yes_no", ()),
        ("What is it?", "bus", "short_answer", ("bus", "coach")),
    ]
    assert next(it for it in samples if it.id == "text").images == ()


def bad(**changes: Any) -> Any:
    value = copy.deepcopy(rows(1)[0])
    value.update(changes)
    return {key: it for key, it in value.items() if it is not ...}


def said(*texts: Any) -> list[Any]:
    names = ("human", "gpt")
    return [{"from": names[n % 2], "value": text} for n, text in enumerate(texts)]


BAD_ROWS = [
    ("text", "not_an_object"),
    (bad(id=...), "missing_id"),
    (bad(id=""), "missing_id"),
    (bad(id=True), "missing_id"),
    (bad(id="x" * 300), "bad_id"),
    (bad(id="ok1"), "duplicate_id"),
    (bad(image="images/nope.png"), "image_missing"),
    (bad(image="../images/0.png"), "image_missing"),
    (bad(image={"a": 1}), "bad_image_field"),
    (bad(image=[1]), "bad_image_field"),
    (bad(image=["images/0.png"] * 17), "too_many_images"),
    (bad(image="images/text.png"), "image_format"),
    (bad(image="images/cut.png"), "image_undecodable"),
    (bad(image="images/large.png"), "image_pixels"),
    (bad(image=...), "image_marks"),
    (bad(conversations=...), "no_conversation"),
    (bad(conversations="hello"), "no_conversation"),
    (bad(conversations=said("a", "b", "c")), "no_final_answer"),
    (bad(conversations=said("a")), "no_final_answer"),
    (bad(conversations=list(reversed(said("a", "b")))), "not_alternating"),
    (bad(conversations=[1, 2]), "not_alternating"),
    (bad(conversations=said("a", "")), "empty_text"),
    (bad(conversations=said("a", None)), "empty_text"),
    (bad(conversations=said("<image>" + SHORT, "b")), "empty_text"),
    (bad(conversations=said("a\x00", "b")), "bad_text"),
    (bad(conversations=said("a", "\ud800")), "bad_text"),
    (bad(conversations=said("a", "b <image>")), "reserved_text"),
    (bad(conversations=said("a" * 40_000, "b")), "text_too_long"),
    (bad(conversations=said(*["a", "b"] * 65)), "too_many_turns"),
    (bad(answers="red"), "bad_answers"),
    (bad(answers=[1]), "bad_answers"),
]


@pytest.mark.parametrize(("value", "rule"), BAD_ROWS, ids=[f"{n}-{it[1]}" for n, it in
                         enumerate(BAD_ROWS)])  # fmt: skip
def test_every_row_rule(pack: MakeArchive, out: Path, value: Any, rule: str) -> None:
    good = [bad(id="ok1"), bad(id="ok2", conversations=said("other?", "b"))]
    files = {
        "images/text.png": b"hello", "images/cut.png": png(size=(64, 64))[:-40],
        "images/large.png": png(size=(101, 100)), **IMAGES,
    }  # fmt: skip
    path = pack({"train.json": [*good, value], **files})
    tight = RowLimits(image=ImageLimits(max_pixels=10_000))
    report = report_of(path, out, limits=tight)
    assert [it.rule for it in report.problems] == [rule]
    problem = report.problems[0]
    assert problem.split == "train"
    assert problem.message
    assert problem.fix


FORMAT_RULES: list[tuple[dict[str, Any], str, str, str | None]] = [
    ({}, "Which?\nA. x", "A", "no_options"),
    ({}, "Which?\nA. x\nB. y", "C", "letter_not_among_options"),
    ({"labels": ["cat", "dog"]}, "What?", "cat", None),
    ({"labels": ["cat", "dog"]}, "What?", "Cat", "not_a_label"),
    ({"answer_format": "yes_no"}, "Is it?", "No", None),
    ({"answer_format": "yes_no"}, "Is it?", "maybe", "not_yes_or_no"),
    ({"answer_format": "multiple_choice", "metric": "option_letter"}, "Q\nA. x\nB. y", "B", None),
    ({"answer_format": "multiple_choice", "metric": "option_letter"}, "Q (A) x (B) y", "(b)", None),
    ({"answer_format": "multiple_choice", "metric": "option_letter"}, "Q\nA. x\nB. y", "C",
     "letter_not_among_options"),
    ({"answer_format": "multiple_choice", "metric": "option_letter"}, "Q\nA. x\nB. y", "x",
     "letter_not_among_options"),
    ({"answer_format": "multiple_choice", "metric": "option_letter"}, "Q", "A", "no_options"),
    ({"answer_format": "multiple_choice", "metric": "option_letter"}, "Q\nA. x\nC. y", "A",
     "no_options"),
    ({"answer_format": "box", "metric": "iou"}, "Where?", "[0.1, 0.2, 0.30, 1.0]", None),
    ({"answer_format": "box", "metric": "iou"}, "Where?", "top left", "box_unreadable"),
    ({"answer_format": "box", "metric": "iou"}, "Where?", "[0, 0, nan, 1]", "box_unreadable"),
    ({"answer_format": "box", "metric": "iou"}, "Where?", "[0, 0, 20, 30]", "box_out_of_range"),
    ({"answer_format": "box", "metric": "iou"}, "Where?", "[0.5, 0, 0.5, 1]", "box_out_of_range"),
    ({"answer_format": "caption"}, "Describe the image in one sentence.", "A bus.", None),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "question", "answer", "rule"), FORMAT_RULES)
def test_every_format_rule(
    pack: MakeArchive, out: Path, changes: Any, question: str, answer: str, rule: str | None
) -> None:
    made = [row("1", question, answer, "a.png"), row("2", question, answer, "b.png")]
    path = pack({"train.json": made, "a.png": png(1), "b.png": png(2)})
    if rule is None:
        assert run(path, out, card(**changes)).num_train == 1
    else:
        assert {it.rule for it in report_of(path, out, card(**changes)).problems} == {rule}


@pytest.mark.parametrize(
    ("answer", "said_of_it"), [("  ", "white space only"), ("", "empty"), (None, "missing")]
)
def test_an_answer_without_text_is_called_what_it_is(
    pack: MakeArchive, out: Path, answer: Any, said_of_it: str
) -> None:
    report = report_of(pack({"train.json": [bad(image=..., conversations=said("a", answer))]}), out)
    assert report.problems[0].message == f"the text is {said_of_it}"


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (["cat", ""], "label 2 ('') has no text"),
        (["cat", " \n"], "has no text"),
        (["Cat", "dog", " cat"], "label 3 (' cat') is the same as 'Cat'"),
    ],
)
def test_labels_are_texts_that_differ(labels: list[str], words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        card(labels=labels)
    assert words in str(caught.value)


def test_all_problems_are_reported_together(pack: MakeArchive, out: Path) -> None:
    lines = ['{"id": 1}', "{broken", '{"id": "b", "conversations": []}'] * 4
    path = pack({"train.jsonl": "\n".join(lines), "test.jsonl": "[]"})
    task = card(splits={"train": "train.jsonl", "eval": "test.jsonl"})
    report = report_of(path, out, task, limits=RowLimits(max_problems=5))
    assert len(report.problems) == 5
    assert report.truncated
    assert report.num_problems == 12 + 6 + 1
    assert report.problems_by_rule == {
        "duplicate_id": 6, "empty_split": 1, "no_conversation": 8, "not_json": 4,
    }  # fmt: skip
    assert [(it.split, it.line) for it in report.problems[:3]] == [
        ("eval", 0), ("train", 1), ("train", 2),
    ]  # fmt: skip


def test_missing_and_empty_splits(pack: MakeArchive, out: Path) -> None:
    report = report_of(pack({"train.json": []}), out)
    assert [it.rule for it in report.problems] == ["empty_split"]
    report = report_of(pack({"other.json": []}), out)
    assert [it.rule for it in report.problems] == ["missing_split"]
    report = report_of(pack({"train.json": [row("1", "q", "a")]}), out)
    assert [it.rule for it in report.problems] == ["cannot_hold_out"]


def test_hold_out_is_a_tenth_and_deterministic(pack: MakeArchive, out: Path) -> None:
    made = rows(100)
    held = []
    for order, seed in ((made, 0), (made[::-1], 0), (made, 1)):
        task = run(pack({"train.json": order, **IMAGES}), out, seed=seed)
        assert (task.num_train, task.num_eval) == (90, 10)
        held.append({it.id for it in read_samples(task.eval_path)})
    assert held[0] == held[1] != held[2]


def test_equal_rows_are_held_out_together(pack: MakeArchive, out: Path) -> None:
    made = [row(f"{n}-{copy}", f"q{n}", "a") for n in range(20) for copy in range(3)]
    task = run(pack({"train.json": made}), out)
    trained = {it.turns[0].question for it in read_samples(task.train_path)}
    held = {it.turns[0].question for it in read_samples(task.eval_path)}
    assert task.num_eval == 6
    assert not trained & held


def test_leaks_are_refused_by_name(pack: MakeArchive, out: Path) -> None:
    made = rows(10)
    files = {"train.json": made, "test.json": rows(3, 50), **IMAGES}
    task = card(splits={"train": "train.json", "eval": "test.json"})
    earlier = list(read_samples(run(pack(files), out, task).eval_path))
    for it in out.iterdir():
        it.unlink()
    leaking = row("new", "what is  NUMBER 50?", "N50", "images/0.png")
    files["train.json"] = [*made, leaking]
    own = report_of(pack(files), out, task)
    files["test.json"] = rows(3, 80)
    other = report_of(pack(files), out, task, reserved_eval=reserve(earlier, "flags"))
    for report, name in ((own, "this task"), (other, "task 'flags'")):
        assert [(it.rule, it.row_id) for it in report.problems] == [("leaks_eval", "new")]
        assert name in report.problems[0].message


def test_cancelling_leaves_nothing(pack: MakeArchive, out: Path) -> None:
    def stop(progress: Progress) -> None:
        assert progress.phase == "check"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(pack({"train.json": rows(600), **IMAGES}), out, on_progress=stop)
    assert list(out.iterdir()) == []


def test_warnings(pack: MakeArchive, out: Path) -> None:
    made = [row(str(n), f"q{n}\nAnswer yes or no.", "red") for n in range(3)]
    report = run(pack({"train.json": made, "more.zip": b""}), out).report
    assert report.valid
    assert "more.zip" in report.warnings[0]
    assert "3 questions carried an instruction for yes_no" in report.warnings[1]


def test_a_damaged_member_is_a_problem_of_its_rows(pack: MakeArchive, out: Path) -> None:
    path = pack({"train.json": rows(2), **IMAGES})
    data = bytearray(path.read_bytes())
    at = data.index(b"images/0.png") + len("images/0.png")
    data[at + 5] ^= 0xFF
    path.write_bytes(data)
    assert [it.rule for it in report_of(path, out).problems] == ["image_undecodable"]


def error_classes(base: type[AsdError]) -> Iterator[type[AsdError]]:
    yield base
    for below in base.__subclasses__():
        yield from error_classes(below)


def test_errors_are_picklable_and_complete() -> None:
    empty = ValidationReport(valid=False, counts={}, problems=[], num_problems=0, truncated=False,
                             warnings=[], problems_by_rule={})  # fmt: skip
    for kind in error_classes(AsdError):
        made = kind("why", empty) if kind is InvalidRows else kind("why")
        back = pickle.loads(pickle.dumps(made))
        assert type(back) is kind
        assert (back.message, str(back)) == ("why", "why")
        assert back.status in (413, 422, 500, 503)
        assert back.code
        if isinstance(back, InvalidRows):
            assert back.report == empty
