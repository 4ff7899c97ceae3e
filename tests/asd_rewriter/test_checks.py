"""The checks: answers said in so many words, nothing leaked, nothing contradicted, lengths."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_rewriter.answers import count_words
from asd_rewriter.checks import check
from asd_rewriter.formats import AnswerFormat
from asd_rewriter.reading import says
from asd_rewriter.rewriter import RewriteRequest, Rewritten
from asd_rewriter.samples import Turn

SHORT, YES_NO, CHOICE, BRIEF, DETAILED, BOX, _ = AnswerFormat
BUS = Turn(question="What colour is the bus?", answer="red", format=SHORT, references=("crimson",))
PICK = Turn(question="Which?\nA. glass\nB. wood", answer="A", format=CHOICE)
HAT = Turn(question="Is there a hat?", answer="no", format=YES_NO)
PLACE = Turn(question="the dog on the left", answer="[0.1, 0.1, 0.4, 0.4]", format=BOX)
TAIL = " One sees it at once when looking at the middle of the picture with some care"


@pytest.mark.parametrize(
    ("text", "answer", "said"),
    [
        ("It is red.", "red", True), ("It is bored.", "red", False), ("Red!", "the red", True),
        ("There are two of them.", "2", True), ("There are 2.", "two", True),
        ("It costs 2.50.", "2", False), ("It costs 12.", "2", False), ("It is 2.", "2", True),
        ("From 1,200 on", "1", False), ("New  York City", "new york", True),
        ('It says "STOP".', "stop", True), ("reds", "red", False), ("这是红色的车", "红色", True),
        ("The box [0.1, 0.2, 0.3, 0.4].", "[0.1, 0.2, 0.3, 0.4]", True), ("What?", "?", True),
        ("a well-known man", "known", True), ("", "red", False),
    ],
)  # fmt: skip
def test_an_answer_is_said_in_so_many_words(text: str, answer: str, said: bool) -> None:
    assert says(text, answer) is said


@given(st.text("ab 1.,", max_size=12), st.text("ab1", min_size=1, max_size=4))
def test_an_answer_between_spaces_is_said(around: str, answer: str) -> None:
    assert says(f"{around} {answer} {around}", answer)
    assert not says(f"x{answer}x", answer)


@pytest.mark.parametrize(
    ("text", "words"), [("One two-three, it's 4.", 4), ("这是红色", 4), ("  ", 0), ("a_b", 2)]
)
def test_words_are_counted_in_any_script(text: str, words: int) -> None:
    assert count_words(text) == words


@pytest.mark.parametrize(
    ("reason", "before", "after", "claim"),
    [
        (None, BUS, Turn(question="Is the bus blue?", answer="no", format=YES_NO), "blue"),
        ("answer_in_question", BUS,
         Turn(question="Is the red bus blue?", answer="no", format=YES_NO), "blue"),
        ("claim_not_asked", BUS, Turn(question="Is it?", answer="no", format=YES_NO), ""),
        ("answer_in_question", BUS,
         Turn(question="What is the red bus?\nA. red\nB. blue", answer="A", format=CHOICE), None),
        (None, PICK, Turn(question="Which?", answer="glass", format=SHORT), None),
        ("answer_in_question", PICK, Turn(question="Glass?", answer="glass", format=SHORT), None),
        (None, BUS, Turn(question=BUS.question, answer=f"It is red.{TAIL}", format=BRIEF), None),
        ("answer_not_stated", BUS,
         Turn(question=BUS.question, answer=f"It looks bored.{TAIL}", format=BRIEF), None),
        ("too_short", BUS, Turn(question=BUS.question, answer="It is red.", format=BRIEF), None),
        ("too_long", BUS, Turn(question="Q?", answer="red" + 3 * TAIL, format=BRIEF), None),
        ("too_short", BUS, Turn(question="Q?", answer="red" + TAIL, format=DETAILED), None),
        (None, BUS, Turn(question="Q?", answer="red" + 3 * TAIL, format=DETAILED), None),
        ("too_long", BUS, Turn(question="Q?", answer="red" + 8 * TAIL, format=DETAILED), None),
        ("answer_contradicted", PICK,
         Turn(question="Which?", answer=f"The answer is wood, not glass.{TAIL}", format=BRIEF),
         None),
        (None, PICK,
         Turn(question="Which?", answer=f"The answer is glass, not wood.{TAIL}", format=BRIEF),
         None),
        ("answer_contradicted", HAT,
         Turn(question=HAT.question, answer=f"Yes, there is no doubt.{TAIL}", format=BRIEF), None),
        (None, HAT, Turn(question=HAT.question, answer=f"No hat is here.{TAIL}", format=BRIEF),
         None),
        (None, PLACE, Turn(question=f"What does the box {PLACE.answer} show?",
                           answer="the dog on the left", format=SHORT), None),
        ("answer_lost", PLACE, Turn(question=f"What does the box {PLACE.answer} show?",
                                    answer="the cat", format=SHORT), None),
        ("answer_lost", PLACE,
         Turn(question="What is there?", answer="the dog", format=SHORT), None),
    ],
)  # fmt: skip
def test_broken_turns_are_named(
    reason: str | None, before: Turn, after: Turn, claim: str | None
) -> None:
    request = RewriteRequest("k", "g", (), before, after.format)
    assert check(request, Rewritten(after, claim)) == reason
