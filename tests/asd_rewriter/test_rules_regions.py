"""Boxes in words, options that speak of each other, and checks that accept whatever rules write."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asd_rewriter.checks import check
from asd_rewriter.facts import POSSIBLE, read_fact
from asd_rewriter.formats import AnswerFormat, options_block
from asd_rewriter.rewriter import Declined, Outcome, RewriteRequest, Rewritten
from asd_rewriter.rules.regions import expression, which_question
from asd_rewriter.rules.rewriter import RuleRewriter
from asd_rewriter.samples import Turn
from tests.asd_rewriter.conftest import card

SHORT, YES_NO, CHOICE, BRIEF, DETAILED, BOX, CAPTION = AnswerFormat
CORNER = "[0.1, 0.1, 0.2, 0.2]"


def outcome(turn: Turn, target: AnswerFormat, images: tuple[str, ...] = ("i",)) -> Outcome:
    rewriter = RuleRewriter(card(), 0)
    for text in (CORNER, "[0.6, 0.6, 0.9, 0.9]", "[0.0, 0.5, 0.4, 1.0]", "[0.5, 0.0, 1.0, 0.4]"):
        found = read_fact(Turn(question="x", answer=text, format=BOX))
        assert found is not None
        rewriter.learn(found)
    request = RewriteRequest("k", "g", images, turn, target)
    (found_outcome,) = rewriter.rewrite([request])
    if isinstance(found_outcome, Rewritten):
        assert check(request, found_outcome) is None
    return found_outcome


def made(turn: Turn, target: AnswerFormat, images: tuple[str, ...] = ("i",)) -> Turn:
    found = outcome(turn, target, images)
    assert isinstance(found, Rewritten)
    return found.turn


def box(question: str, answer: str = CORNER) -> Turn:
    return Turn(question=question, answer=answer, format=BOX)


@pytest.mark.parametrize(
    ("question", "named"),
    [
        ("the dog on the left", "the dog on the left"), ("dog left.", "dog left"),
        ("Where is the dog?", "the dog"), ("Where is the dog in the image?", "the dog"),
        ("Find the red car.", "the red car"), ("Where?", None), ("Is it there?", None),
        ('the sign "STOP"', None), ("a\nb", None), ("x" * 200, None), ("", None),
    ],
)  # fmt: skip
def test_expressions(question: str, named: str | None) -> None:
    assert expression(question) == named


def test_boxes_are_described() -> None:
    brief = made(box("the dog on the left"), BRIEF)
    assert brief.question == "Describe where the dog on the left is in the picture."
    assert brief.answer == (
        "The dog on the left is in the upper left part of the picture, at [0.1, 0.1, 0.2, 0.2], "
        "covering about 1 % of it."
    )
    detailed = made(box("Where are the dogs?", "[0.2, 0.3, 0.9, 0.9]"), DETAILED)
    assert detailed.question == "Describe where the dogs are in the picture."
    assert detailed.answer == (
        "The dogs are in the middle of the picture, at [0.2, 0.3, 0.9, 0.9], covering about 42 % "
        "of it. Seen from the left edge, the box begins at 20 % of the picture's width and ends "
        "at 90 %. Seen from the top edge, it begins at 30 % of the picture's height and ends at "
        "90 %."
    )
    assert made(box("dog left"), BRIEF).answer.startswith('The region that matches "dog left" is')


def test_boxes_are_asked_about_and_named() -> None:
    assert made(box("the dog"), SHORT) == Turn(
        question=f"What does the box {CORNER} show?", answer="the dog", format=SHORT
    )
    asked = made(box("Where is the dog?"), YES_NO).question
    assert asked.startswith("Does the box [")
    assert asked.endswith("] show the dog?")
    assert made(box("dog left"), YES_NO).question.endswith('match "dog left"?')
    assert made(box("the dog"), CHOICE).question.startswith("Which box shows the dog?\nA. [")
    assert outcome(box("Where?"), SHORT) == Declined("no_expression_to_name")


@pytest.mark.parametrize(
    "last", ["All of the above", "none of the above.", "both A and B", "Both", "neither"]
)
def test_options_that_speak_of_others_stay_together(last: str) -> None:
    for answer in "ABC":
        turn = Turn(question=f"What is red?\n{options_block(['sky', 'sea', last])}",
                    answer=answer, format=CHOICE)  # fmt: skip
        assert outcome(turn, SHORT) == Declined("question_needs_its_options")
        for target in (BRIEF, DETAILED):
            assert f"C. {last}" in made(turn, target).question
        if answer == "C" and not last.startswith("n"):
            assert outcome(turn, YES_NO) == Declined("all_options_right")
        else:
            assert f"C. {last}" in made(turn, YES_NO).question


def test_sentences_are_quoted_and_numbers_of_words_are_kept() -> None:
    options = options_block(["Water is formed when ice melts.", "Ice is formed."])
    turn = Turn(question=f"What happens?\n{options}", answer="A", format=CHOICE)
    for target, least, most in ((BRIEF, 12, 32), (DETAILED, 35, 70)):
        answer = made(turn, target).answer
        assert answer.startswith('The answer is "Water is formed when ice melts". ')
        assert least <= len(answer.split()) <= most


def test_without_a_picture_none_is_spoken_of() -> None:
    turn = Turn(question="What is the capital of Oregon?", answer="Salem", format=SHORT)
    for target in (BRIEF, DETAILED):
        plain, pictured = made(turn, target, ()).answer, made(turn, target, ("i", "j")).answer
        assert plain.startswith("The capital of Oregon is Salem. ")
        assert "picture" not in plain
        assert "picture" in pictured


def test_yes_no_options_are_not_asked_about_again() -> None:
    turn = Turn(question="Is it alive?\nA. yes\nB. no", answer="A", format=CHOICE)
    assert outcome(turn, YES_NO) == Declined("already_yes_no")
    assert made(turn, SHORT) == Turn(question="Is it alive?", answer="yes", format=SHORT)


ANSWERS = st.sampled_from(
    ["red", "Red.", "3", "two", "STOP", "New York", "a dog", "dogs", "riding a horse", "犬",
     "on the bed", "unanswerable", "none of the above", "10:30", "It rains, so it is wet.", "$5",
     'say "hi"', "tv", "television", "light blue", "5 years old", "wood", "left"]
)  # fmt: skip
QUESTIONS = st.sampled_from(
    ["What color is the bus?", "How many dogs are there?", "What does the sign say?", "Where?",
     "Where is the cat?", "What is the man doing?", "What is this?", "Who is it?", "Name it.",
     "What time is it?", "What is on the table?\nReference OCR token: STOP, 3", "How old is it?",
     "This is a sign. What does it say?", "Which of these is it?", "¿Qué es?", "the dog",
     "What kind of dog is this?", "What is the table made of?", "Is the dog left or right?"]
)  # fmt: skip
BOXES = st.tuples(st.integers(0, 6), st.integers(0, 6)).map(
    lambda it: f"[{it[0] / 10}, {it[1] / 10}, {it[0] / 10 + 0.3:.2f}, {it[1] / 10 + 0.3:.2f}]"
)
LISTS = st.lists(ANSWERS, min_size=2, max_size=5, unique=True).filter(
    lambda it: len({text.strip(" .").lower() for text in it}) == len(it)
)
TURNS = st.one_of(
    st.builds(Turn, question=QUESTIONS, answer=ANSWERS, format=st.just(SHORT)),
    st.builds(Turn, question=QUESTIONS, answer=st.sampled_from(["yes", "No"]),
              format=st.just(YES_NO)),
    st.builds(Turn, question=QUESTIONS, answer=BOXES, format=st.just(BOX)),
    st.builds(lambda question, options: Turn(
        question=f"{question}\n{options_block(options)}", answer="B", format=CHOICE),
        QUESTIONS, LISTS),
)  # fmt: skip


@settings(max_examples=120, deadline=None)
@given(st.lists(TURNS, min_size=1, max_size=12), st.integers(0, 3), st.sampled_from([(), ("i",)]))
def test_checks_accept_whatever_rules_write(
    turns: list[Turn], seed: int, images: tuple[str, ...]
) -> None:
    outcomes = []
    for _ in range(2):
        rewriter = RuleRewriter(card(ocr_prefix="Reference OCR token:"), seed)
        for it in turns:
            if (fact := read_fact(it)) is not None:
                rewriter.learn(fact)
        requests = [
            RewriteRequest(f"{at}:{target}", "g", images, it, target)
            for at, it in enumerate(turns)
            for target in POSSIBLE[it.format]
        ]
        outcomes.append(rewriter.rewrite(requests))
    assert outcomes[0] == outcomes[1]
    for request, found in zip(requests, outcomes[0], strict=True):
        if isinstance(found, Rewritten):
            assert check(request, found) is None


@pytest.mark.parametrize(
    ("named", "verb"),
    [
        ("A woman in a dress is cutting a cake.", "match"), ("The man is here", "match"),
        ("The surfboard the girls are carrying together", "show"), ("The man who is old", "show"),
    ],
)  # fmt: skip
def test_sentences_are_not_taken_for_things(named: str, verb: str) -> None:
    fact = read_fact(box(named))
    assert fact is not None
    assert which_question(fact).startswith(f"Which box {verb}")
