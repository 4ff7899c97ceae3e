"""References: the questions of a task with the answers that count as right, as items.

Read are rows in LLaVA's question form (CoIN, SEFE, MCITlib, Prism: `question_id`, `text`,
`answer`), LLaVA conversations, and by id the originals of TextVQA, GQA, ScienceQA and COCO.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from asd_rewriter.cards import Metric
from asd_rewriter.formats import OPTION_LETTERS, AnswerFormat, strip_instruction
from eval.items import EvalItem
from eval.results.errors import ReferencesRefused
from eval.results.files import Row, read_json, read_rows, shown
from eval.results.predictions import id_of
from eval.scorers.iou import parse_box

_IMAGE_MARK = "<image>"
FORMATS: Mapping[str, AnswerFormat] = {
    "option_letter": AnswerFormat.MULTIPLE_CHOICE,
    "iou": AnswerFormat.BOX,
    "caption": AnswerFormat.CAPTION,
}
"""Formats that a metric tells; else the prompt's instruction does, or it is a short answer."""
_ANSWER_KEYS = ("answer_bbox", "answers", "references", "captions", "answer", "label")
_QUESTION_KEYS = ("text", "question", "prompt")
_SOFT_VOTES, _VOTE_WORDS = 3, 4


class Reference(NamedTuple):
    """A question by id: what is asked, the accepted answers, the image's name, where it stands."""

    id: str
    question: str
    answers: tuple[str, ...]
    image: str
    place: str


def read_references(path: Path, answers: Path | None = None) -> list[Reference]:
    """Return a task's questions in the order of the file.

    Args:
        path: the questions: a JSON array, JSON lines, `{"data": [...]}` or an object by id.
        answers: accepted answers by id from another file, such as TextVQA's ten votes; only they
            count then.

    Raises:
        ReferencesRefused: if there is no question, an id repeats, or a question has no answer.
        ResultsRefused: if a file cannot be read.
    """
    found: dict[str, Reference] = {}
    for entry in _entries(path):
        if entry.id in found:
            raise ReferencesRefused(
                f"{entry.place}: id {entry.id!r} was there before, in {found[entry.id].place}. "
                "Give every question an id of its own."
            )
        found[entry.id] = entry
    if not found:
        raise ReferencesRefused(f"{path} holds no question.")
    rows = list(found.values())
    if answers is not None:
        rows = _with_answers(rows, answers)
    for row in rows:
        if not row.answers:
            raise ReferencesRefused(
                f"{row.place}: question {row.id!r} has no answer that counts as right. Give it as "
                "'answer', or as a list in 'answers'."
            )
    return rows


def items_of(task: str, rows: Sequence[Reference], metric: Metric) -> list[EvalItem]:
    """Return the questions as items of one task.

    No image is opened: instead of the images' digests an item holds one digest of its own, made
    from task, id and the image's name, so that no two questions are taken for one.
    """
    return [_item(task, row, metric) for row in rows]


def _item(task: str, row: Reference, metric: Metric) -> EvalItem:
    question, asked_for = strip_instruction(row.question)
    return EvalItem(
        id=row.id,
        task=task,
        images=(hashlib.sha256(f"{task}\n{row.id}\n{row.image}".encode()).hexdigest(),),
        question=question or row.question,
        prompt=row.question,
        references=row.answers,
        format=FORMATS.get(metric) or asked_for or AnswerFormat.SHORT_ANSWER,
        metric=metric,
    )


def guess_metric(rows: Sequence[Reference]) -> Metric:
    """Return the scorer that fits the form of all the references."""
    if all(len(row.answers) >= _SOFT_VOTES for row in rows):
        words = [len(text.split()) for row in rows for text in row.answers]
        return "vqa_soft" if sum(words) <= _VOTE_WORDS * len(words) else "caption"
    texts = [text.strip() for row in rows for text in row.answers]
    if all(parse_box(text) for text in texts):
        return "iou"
    if all(len(text) == 1 and text in OPTION_LETTERS for text in texts):
        return "option_letter"
    return "exact_match"


def _entries(path: Path) -> Iterator[Reference]:
    value = None if path.suffix == ".jsonl" else read_json(path)
    if isinstance(value, dict) and "annotations" in value:
        yield from _captions(value, path)
        return
    for row in read_rows(path) if value is None else _rows(value, path):
        yield from _conversation(row) if "conversations" in row.value else [_reference(row)]


def _rows(value: Any, path: Path) -> list[Row]:
    """Return the rows of a JSON array, of `{"data": [...]}` or of an object by id."""
    if isinstance(value, dict) and isinstance(value.get("data"), list):
        value = value["data"]
    if isinstance(value, list):
        return [_row(row, f"{path}, row {number}") for number, row in enumerate(value, 1)]
    by_id = _row(value, str(path)).value
    rows = [_row(row, f"{path}, {key!r}") for key, row in by_id.items()]
    return [Row({"id": key, **row.value}, row.place) for key, row in zip(by_id, rows, strict=True)]


def _row(value: Any, place: str) -> Row:
    if not isinstance(value, dict):
        raise ReferencesRefused(f"{place}: {shown(value)} where a question is expected.")
    return Row(value, place)


def _reference(row: Row) -> Reference:
    value = row.value
    question = next((value[key] for key in _QUESTION_KEYS if isinstance(value.get(key), str)), "")
    return Reference(
        id_of(row), _without_mark(question), _answers(row), str(value.get("image", "")), row.place
    )


def _conversation(row: Row) -> Iterator[Reference]:
    said = row.value["conversations"]
    try:
        texts = [str(turn["value"]) for turn in said]
    except (TypeError, KeyError) as error:
        raise ReferencesRefused(f"{row.place}: conversations is {shown(said)}.") from error
    key, image = id_of(row), str(row.value.get("image", ""))
    turns = list(zip(texts[::2], texts[1::2], strict=False))
    for number, (question, answer) in enumerate(turns):
        name = key if len(turns) == 1 else f"{key}#{number}"
        further = _answers(row) if len(turns) == 1 else ()
        yield Reference(name, _without_mark(question), (answer, *further), image, row.place)


def _without_mark(text: str) -> str:
    return text.replace(_IMAGE_MARK, "").strip()


def _answers(row: Row) -> tuple[str, ...]:
    key = next((key for key in _ANSWER_KEYS if row.value.get(key) not in (None, "", [])), None)
    if key is None:
        return ()
    value = row.value[key]
    choices = row.value.get("choices")
    if isinstance(choices, list) and isinstance(value, int) and 0 <= value < len(choices):
        if value >= len(OPTION_LETTERS):
            raise ReferencesRefused(
                f"{row.place}: answer {value} of {len(choices)} choices; the letters go to "
                f"{OPTION_LETTERS[-1]}, choice {len(OPTION_LETTERS) - 1}. Leave the question out."
            )
        return (OPTION_LETTERS[value],)
    if isinstance(value, list) and key == "answer_bbox":
        return (str(value),)
    return tuple(_answer(it, row) for it in (value if isinstance(value, list) else [value]))


def _answer(value: Any, row: Row) -> str:
    if isinstance(value, dict):  # VizWiz, VQAv2: {"answer": ..., "answer_confidence": ...}
        value = value.get("answer")
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ReferencesRefused(f"{row.place}: {shown(value)} is no answer: expected a text.")
    return str(value)


def _captions(value: dict[str, Any], path: Path) -> Iterator[Reference]:
    """Yield COCO captions by image: its file name is the image, its number the id."""
    texts: dict[Any, list[str]] = {}
    try:
        for it in value["annotations"]:
            texts.setdefault(it["image_id"], []).append(str(it["caption"]))
        images = value.get("images") or [{"id": key} for key in texts]
        named = [(it["id"], str(it.get("file_name", ""))) for it in images]
    except (TypeError, KeyError) as error:
        raise ReferencesRefused(f"{path} is not in COCO's caption format: {error!r}.") from error
    for key, image in named:
        yield Reference(str(key), "", tuple(texts.get(key, ())), image, f"{path}, image {key}")


def _with_answers(rows: Sequence[Reference], path: Path) -> list[Reference]:
    """Return the rows with another file's answers: by id, or captions by their image.

    An image is known by its file's name alone or, as in MCITlib, by the question's place, from 1;
    where a file has two images of one name, by its whole name only.
    """
    others = list(_entries(path))
    by_id = {other.id: other.answers for other in others}
    joins = [[by_id.get(row.id) for row in rows]]
    if not any(other.question for other in others):
        names = [{it.image for it in side} for side in (rows, others)]
        whole = any(len({Path(name).stem for name in side}) < len(side) for side in names)
        joins.insert(0, _by_image(rows, others, whole))
        if not whole:
            joins.append([by_id.get(str(number)) for number in range(1, len(rows) + 1)])
    fullest = max(joins, key=lambda join: sum(map(bool, join)))
    lacking = [row for row, answers in zip(rows, fullest, strict=True) if not answers]
    if lacking:
        raise ReferencesRefused(
            f"{len(lacking)} of {len(rows)} questions have no answer in {path}, the first is "
            f"{lacking[0].id!r} ({lacking[0].place}). Are the two files of the same split?"
        )
    return [row._replace(answers=it) for row, it in zip(rows, fullest, strict=True) if it]


def _by_image(
    rows: Sequence[Reference], others: Sequence[Reference], whole: bool
) -> list[tuple[str, ...] | None]:
    """Return the rows' answers by their images' `whole` names, or without folder and ending."""

    def known_as(it: Reference) -> str:
        return it.image if whole else Path(it.image).stem

    answers: dict[str, tuple[str, ...]] = {}
    for other in others:
        if other.image:
            answers[known_as(other)] = (*answers.get(known_as(other), ()), *other.answers)
    return [answers.get(known_as(row)) for row in rows]
