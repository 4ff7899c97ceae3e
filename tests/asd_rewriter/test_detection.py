"""Native formats told from rows, with the evidence."""

from __future__ import annotations

import pytest

from asd_rewriter.cards import TaskCard
from asd_rewriter.detection import (
    Detection,
    Detector,
    card_name,
    format_under,
    formats_under,
    own_format,
)
from asd_rewriter.formats import AnswerFormat
from tests.asd_rewriter.conftest import card

SHORT, YES_NO, CHOICE, BRIEF, DETAILED, BOX, CAPTION = AnswerFormat
OPTIONS = "Which one?\nA. a bus\nB. a tram"


@pytest.mark.parametrize(
    ("question", "answer", "asked", "found"),
    [(OPTIONS, "B", None, CHOICE), (OPTIONS, "(b)", None, CHOICE), (OPTIONS, "C", None, SHORT),
     ("Which vitamin?", "C", None, SHORT), ("Is it?", "Yes.", None, YES_NO),
     ("Where?", "[0.1, 0.2, 0.3, 0.4]", None, BOX), ("Which four?", "1, 2, 3, 4", None, SHORT),
     ("What?", "a red bus", None, SHORT), ("What?", "word " * 12 + "word", None, BRIEF),
     ("What?", "word " * 12 + "word", SHORT, SHORT),
     ("What?", "word " * 40 + "word", None, DETAILED),
     ("Describe it.", "A red bus.", CAPTION, CAPTION), ("Is it?", "no", SHORT, YES_NO)],
)  # fmt: skip
def test_an_answer_shows_its_format(
    question: str, answer: str, asked: AnswerFormat | None, found: AnswerFormat
) -> None:
    assert own_format(question, answer, asked) is found


CHOICE_CARD = card(answer_format="multiple_choice", metric="option_letter")


@pytest.mark.parametrize(
    ("under", "question", "answer", "found"),
    [(card(), "What?", "red", SHORT), (card(), "Is it?", "no", YES_NO),
     (card(), OPTIONS, "A", CHOICE), (card(), "Title?", "word " * 20, SHORT),
     (card(labels=["red", "blue"]), "What?", "red", SHORT),
     (card(labels=["red", "blue"]), "What?", "green", "not_a_label"),
     (CHOICE_CARD, OPTIONS, "C", "letter_not_among_options"), (CHOICE_CARD, "What?", "red", SHORT),
     (card(answer_format="box", metric="iou"), "Where?", "[0.1, 0.2, 3, 0.4]", "box_out_of_range"),
     (card(answer_format="box", metric="iou"), "What?", "red", SHORT),
     (card(answer_format="caption"), "Describe it.", "yes", CAPTION),
     (card(), "What?", "<image>", "reserved_text"),
     (card(), OPTIONS, "C", "letter_not_among_options"), (card(), "Which vitamin?", "C", SHORT),
     (card(), "What?\nA. cat", "A", "no_options"), (card(), "What? (A) cat", "(a)", "no_options"),
     (card(), "What?\nA. cat\nC. dog", "C", "no_options"),
     (card(), "What?\nA. cat", "cat", SHORT), (CHOICE_CARD, "What?\nA. cat", "A", "no_options")],
)  # fmt: skip
def test_under_a_card_each_turn_has_its_own_format(
    under: TaskCard, question: str, answer: str, found: str
) -> None:
    told = format_under(under, question, answer)
    quick = formats_under(under)
    assert [quick(question, answer, None) for _ in "ab"] == [told, told]
    assert (told if isinstance(told, AnswerFormat) else told[0]) == found


def detect(*turns: tuple[str, str], asked: AnswerFormat | None = None) -> Detection:
    detector = Detector()
    for question, answer in turns:
        detector.add(question, answer, asked)
    return detector.detection("GQA balanced")


def test_letters_boxes_and_yes_no_decide() -> None:
    letters = detect(*[(OPTIONS, "AB"[n % 2]) for n in range(9)])
    assert (letters.card.answer_format, letters.card.metric) == (CHOICE, "option_letter")
    boxes = detect(*[("Where?", f"[0.1, 0.1, 0.5, 0.{n}]") for n in range(2, 9)])
    assert (boxes.card.answer_format, boxes.card.metric) == (BOX, "iou")
    assert detect(("Is it?", "yes"), ("Is it?", "no")).card.answer_format is YES_NO


def test_a_mixed_task_is_short_answer_and_says_so() -> None:
    found = detect(*[("Is it?", "yes")] * 60, *[(f"What {n}?", f"thing {n}") for n in range(40)])
    assert found.card.answer_format is SHORT
    assert found.card.labels is None
    assert found.formats == {SHORT: 40, YES_NO: 60}
    assert "60 of them yes or no" in found.reason
    assert [it.format for it in found.examples] == [SHORT, SHORT, SHORT, YES_NO]


def test_few_answers_over_many_rows_are_labels() -> None:
    closed = detect(*[(f"What {n}?", f"class {n % 5}") for n in range(200)])
    assert closed.card.labels == tuple(f"class {n}" for n in range(5))
    assert "closed label set" in closed.reason
    assert detect(*[("What?", f"class {n % 5}") for n in range(99)]).card.labels is None
    case = detect(*[("What?", ("Bus", "bus", "tram")[n % 3]) for n in range(99)])
    assert case.card.labels is None


def test_long_answers_are_captions_or_explanations() -> None:
    few, many = "word " * 15 + "end", "word " * 45 + "end"
    same = detect(*[("Describe the picture.", f"{n} {few}") for n in range(40)])
    assert same.card.answer_format is CAPTION
    for text, wanted in ((few, BRIEF), (many, DETAILED)):
        found = detect(*[(f"Why {n}?", f"{n} {text}") for n in range(40)])
        assert found.card.answer_format is wanted
    asked = detect(*[(f"{n}", "A bus.") for n in range(40)], asked=CAPTION)
    assert asked.card.answer_format is CAPTION
    assert asked.instructions == {CAPTION: 40}


def test_evidence_stays_small_and_nothing_is_no_evidence() -> None:
    found = detect(*[(f"What {n}?", f"thing {n}") for n in range(3000)])
    assert found.distinct_answers is None
    assert len(found.examples) == 3
    with pytest.raises(ValueError, match="no turn"):
        detect()


@pytest.mark.parametrize(
    ("text", "name"),
    [("GQA", "gqa"), ("OCR VQA (v2)", "ocr-vqa-v2"), ("__", "task"), ("train_ori", "train_ori"),
     ("é" * 5, "task"), ("a" * 90, "a" * 63)],
)  # fmt: skip
def test_names_of_cards(text: str, name: str) -> None:
    assert card_name(text) == name
    assert TaskCard(name=name, answer_format=SHORT, metric="exact_match")
