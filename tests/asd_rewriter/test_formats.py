"""Instruction lines: appended once, recognised in many wordings, stripped once."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asd_rewriter.formats import INSTRUCTIONS, AnswerFormat, strip_instruction, with_instruction
from tests.asd_rewriter.scaling import growth

FORMATS = st.sampled_from(AnswerFormat)


@settings(deadline=None)
@given(st.text(), FORMATS)
def test_stripping_undoes_appending(question: str, answer_format: AnswerFormat) -> None:
    text = with_instruction(question, answer_format)
    assert strip_instruction(text) == (question, answer_format)


@settings(deadline=None)
@given(st.text(), FORMATS, FORMATS)
def test_exactly_one_instruction_is_stripped(
    question: str, inner: AnswerFormat, outer: AnswerFormat
) -> None:
    twice = with_instruction(with_instruction(question, inner), outer)
    assert strip_instruction(twice) == (with_instruction(question, inner), outer)


@settings(deadline=None)
@given(st.text(), st.text(min_size=1).filter(lambda it: it not in INSTRUCTIONS.values()))
def test_a_cards_own_wording_is_known(question: str, wording: str) -> None:
    overrides = {AnswerFormat.SHORT_ANSWER: wording}
    text = with_instruction(question, AnswerFormat.SHORT_ANSWER, overrides)
    assert strip_instruction(text, overrides)[0] in (question, question.rstrip())


@pytest.mark.parametrize(
    ("text", "question", "answer_format"),
    [
        ("Why?\nAnswer the question using a single word or phrase.", "Why?", "short_answer"),
        ("Why? Answer the question using a single word or phrase", "Why?", "short_answer"),
        ("Why?\nPlease answer with one word.", "Why?", "short_answer"),
        ("Why?\nGive a short answer.\n", "Why?", "short_answer"),
        ("A. x\nB. y\nAnswer with the option's letter from the given choices directly.",
         "A. x\nB. y", "multiple_choice"),
        ("A. x\nB. y\nAnswer with the letter.", "A. x\nB. y", "multiple_choice"),
        ("Is it? Please answer yes or no.", "Is it?", "yes_no"),
        ("Is it?\nAnswer the question with 'yes' or 'no' only.", "Is it?", "yes_no"),
        ("Where is it?\nProvide the bounding box coordinates in the format [x1, y1, x2, y2].",
         "Where is it?", "box"),
        ("Please provide the bounding box coordinate of the region this sentence describes: "
         "white dog", "white dog", "box"),
        ("Please provide the bounding box coordinates of the region described by the sentence "
         "'the man's dog' in the format [x1, y1, x2, y2].", "the man's dog", "box"),
        ("Describe the image in one sentence.", "", "caption"),
        ("Provide a one-sentence caption for the provided image.", "", "caption"),
    ],
)  # fmt: skip
def test_widely_used_wordings_are_stripped(text: str, question: str, answer_format: str) -> None:
    assert strip_instruction(text) == (question, AnswerFormat(answer_format))


@pytest.mark.parametrize(
    "text",
    ["What colour is it?", "Can you answer yes or no?", "Did he answer with a single word",
     "Answer with a single word or phrase. What is it?", "", "Is the answer yes or no"],
)  # fmt: skip
def test_questions_that_only_mention_answers_stay(text: str) -> None:
    assert strip_instruction(text) == (text, None)


REGION = "Please provide the bounding box coordinates of the region "


@pytest.mark.parametrize(
    ("text", "question"),
    [
        (f" {REGION}this sentence describes:white dog \n", "white dog"),
        (f"{REGION}this sentence describes:\n two\nlines", "two\nlines"),
        (f"{REGION}this sentence describes: ", ""),
        (f"{REGION}that matches the sentence \"a 'b'\". \n", "a 'b'"),
    ],
)
def test_regions_are_questions(text: str, question: str) -> None:
    assert strip_instruction(text) == (question, AnswerFormat.BOX)


@pytest.mark.parametrize(
    "start",
    ["this sentence describes: x", "this sentence describes:", "described by the sentence",
     "described by the sentence 'x", "described by the sentence 'x'"],
)  # fmt: skip
@pytest.mark.parametrize("filling", [" ", "\n", "' ", "'"])
def test_time_is_linear_in_hostile_texts(start: str, filling: str) -> None:
    def text_of(size: int) -> str:
        return REGION + start + filling * (size // len(filling)) + "y"

    assert growth(strip_instruction, text_of) < 8
