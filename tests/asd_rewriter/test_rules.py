"""Rules: exact wordings, grammar, wrong answers, and checks that catch broken rewrites."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest

from asd_rewriter.answers import iou, normalise, parse_box, parse_options
from asd_rewriter.checks import check
from asd_rewriter.facts import Fact, read_fact
from asd_rewriter.formats import AnswerFormat
from asd_rewriter.rewriter import Declined, Rewriter, RewriteRequest, Rewritten
from asd_rewriter.rules.boxes import MAX_IOU, BoxPool
from asd_rewriter.rules.explanations import to_brief_explanation, to_detailed_explanation
from asd_rewriter.rules.multiple_choice import to_multiple_choice
from asd_rewriter.rules.pool import AnswerPool, too_close
from asd_rewriter.rules.rewriter import RuleRewriter
from asd_rewriter.rules.short_answer import to_short_answer
from asd_rewriter.rules.yes_no import to_yes_no
from asd_rewriter.samples import Turn
from tests.asd_rewriter.conftest import card

SHORT, YES_NO, CHOICE, BRIEF, DETAILED, BOX, CAPTION = AnswerFormat


def turn(question: str, answer: str, answer_format: AnswerFormat = SHORT, *more: str) -> Turn:
    return Turn(question=question, answer=answer, format=answer_format, references=more)


def fact(question: str, answer: str, answer_format: AnswerFormat = SHORT, *more: str) -> Fact:
    found = read_fact(turn(question, answer, answer_format, *more))
    assert found is not None
    return found


def made(outcome: Rewritten | Declined) -> Turn:
    assert isinstance(outcome, Rewritten)
    return outcome.turn


BUS = fact("How come it is known?", "Volvo")
CHOICES = "Which colony is it?\nA. Maryland\nB. New York\nC. Ohio"


def test_golden_wordings() -> None:
    assert made(to_yes_no(BUS, "Volvo", True)) == turn(
        'How come it is known?\nIs the answer "Volvo"?', "yes", YES_NO
    )
    assert made(to_yes_no(BUS, "Saab", False)).answer == "no"
    assert made(to_multiple_choice(BUS, ["Saab", "MAN", "DAF"], 1)) == turn(
        "How come it is known?\nA. Saab\nB. Volvo\nC. MAN\nD. DAF", "B", CHOICE
    )
    assert made(to_brief_explanation(BUS)) == turn(
        "How come it is known?",
        "The answer is Volvo. It is what the picture shows when the question is read together "
        "with all of its visible parts.",
        BRIEF,
    )
    assert made(to_detailed_explanation(BUS)) == turn(
        "How come it is known?",
        "The answer is Volvo. To answer, look at the whole picture first, then find the part the "
        "question asks about. The shapes, colours, words and places that are visible there "
        "support this answer, and nothing else in the picture speaks against it when all parts "
        "are compared with care.",
        DETAILED,
    )


def test_multiple_choice_becomes_plain() -> None:
    plain = fact(CHOICES, "B", CHOICE)
    assert made(to_short_answer(plain)) == turn("Which colony is it?", "New York", SHORT)
    assert made(to_yes_no(plain, "Ohio", False)).question == "Is it Ohio?"


def test_questions_that_need_their_options_keep_them() -> None:
    needy = fact("Which of the following is red?\nA. sky\nB. blood", "B", CHOICE)
    assert isinstance(to_short_answer(needy), Declined)
    assert "A. sky" in made(to_brief_explanation(needy)).question


@pytest.mark.parametrize(
    "stem",
    ["Complete the text. Snails have", "Select the bird.", "Pick one:"],
)
def test_tasks_of_choosing_need_their_options(stem: str) -> None:
    assert fact(f"{stem}\nA. x\nB. y", "B", CHOICE).needs_options
    assert not fact("Who is to complete it?\nA. x\nB. y", "B", CHOICE).needs_options


def test_no_option_is_a_false_claim_where_all_are_right() -> None:
    rewriter = RuleRewriter(card(), 0)
    for answer, declined in (("all of the above", True), ("none of the above", False)):
        asked = turn(f"What is here?\nA. tape\nB. glue\nC. {answer}", "C", CHOICE)
        (found,) = rewriter.rewrite([RewriteRequest("k", "g", (), asked, YES_NO)])
        assert isinstance(found, Declined) is declined


@pytest.mark.parametrize(
    ("answer", "stated"),
    [
        ("Yes", "The answer is yes."),
        ("NO", "The answer is no."),
        ("unanswerable", 'The question cannot be answered: the answer is "unanswerable".'),
        ("not there", 'The answer is "not there".'),
        ("both", "The answer is both."),
        ("he would fall", 'The answer is "he would fall".'),
        ("the camera moved", 'The answer is "the camera moved".'),
        ("in a park", 'The answer is "in a park".'),
        ("itself in the mirror", 'The answer is "itself in the mirror".'),
        ("Is it a dog or a cat?", 'The answer is "Is it a dog or a cat?"'),
        ("over 100 years", "The answer is over 100 years."),
        ("catcher", 'The answer is "catcher".'),
        ("a trash can", "The answer is a trash can."),
        ("a big red ball", "The answer is a big red ball."),
    ],
)
def test_answers_in_a_sentence(answer: str, stated: str) -> None:
    asked = turn("How come it is known?", answer)
    request = RewriteRequest("k", "g", (), asked, BRIEF)
    found = to_brief_explanation(fact("How come it is known?", answer))
    assert made(found).answer.startswith(f"{stated} It is what")
    assert isinstance(found, Rewritten)
    assert check(request, found) is None


def answer_pool(facts: Sequence[Fact], labels: Sequence[str] | None = None) -> AnswerPool:
    pool = AnswerPool(labels)
    for it in facts:
        pool.add(it)
    return pool


def box_pool(facts: Sequence[Fact]) -> BoxPool:
    pool = BoxPool()
    for it in facts:
        pool.add(it)
    return pool


def test_wrong_answers_come_from_the_same_kind_of_question() -> None:
    facts = [fact("What colour is the bus?", it) for it in ("red", "Blue", "green", "pink")]
    facts += [fact("Who made it?", it) for it in ("Volvo", "Saab", "the Volvo")]
    facts += [fact("How many wheels?", str(it)) for it in range(9)]
    pool = answer_pool(facts)
    for seed in range(30):
        assert set(pool.wrong(Random(seed), facts[0], 3)) == {"Blue", "green", "pink"}
        numbers = pool.wrong(Random(seed), facts[-1], 3)
        assert len(numbers) == 3
        assert all(it.isdigit() and it != "8" for it in numbers)
        assert "the Volvo" not in pool.wrong(Random(seed), facts[4], 9)
    assert len(pool.wrong(Random(0), facts[0], 99)) > 10


def test_accepted_answers_are_never_wrong() -> None:
    facts = [fact("Which?", it) for it in ("red", "crimson", "blue")]
    asked = fact("Which?", "red", SHORT, "Crimson", "red")
    assert answer_pool(facts).wrong(Random(0), asked, 3) == ["blue"]


def test_labels_close_the_pool() -> None:
    pool = answer_pool([], ("cat", "cats", "dog"))
    assert set(pool.wrong(Random(0), fact("What is it?", "cat"), 5)) == {"cats", "dog"}


def test_labels_of_the_right_kind_come_first() -> None:
    labels = ("yes", "no", "red", "0", "1", "2", "3")
    facts = [fact("How many?", "2"), fact("Which colour?", "red"), fact("What?", "stray")]
    pool = answer_pool(facts, labels)
    for seed in range(20):
        assert set(pool.wrong(Random(seed), facts[0], 3)) == {"0", "1", "3"}
    assert set(pool.wrong(Random(0), facts[0], 9)) == {"0", "1", "3", "red"}


@pytest.mark.parametrize("pair", [("dog", "dogs"), ("bus", "buses"), ("man", "old man")])
def test_answers_that_might_both_be_right(pair: tuple[str, str]) -> None:
    assert too_close(*pair)
    assert too_close(*reversed(pair))


def test_wrong_boxes_lie_elsewhere() -> None:
    texts = [f"[{x / 10:.2f}, {y / 10:.2f}, {x / 10 + 0.2:.2f}, {y / 10 + 0.2:.2f}]"
             for x in range(8) for y in range(8)]  # fmt: skip
    facts = [fact("Where?", text, BOX) for text in texts]
    wrong = box_pool(facts).wrong(Random(3), facts[0], 3)
    boxes = [parse_box(text) for text in (texts[0], *wrong)]
    assert len(boxes) == 4
    for index, one in enumerate(boxes):
        for two in boxes[:index]:
            assert one is not None
            assert two is not None
            assert iou(one, two) <= MAX_IOU


def test_a_wrong_box_does_not_hold_the_right_one() -> None:
    facts = [fact("Where?", it, BOX)
             for it in ("[0.28, 0.31, 0.43, 0.76]", "[0.08, 0.10, 0.40, 0.98]")]  # fmt: skip
    assert box_pool(facts).wrong(Random(0), facts[0], 1) == []


def test_native_yes_no_and_unknown_formats() -> None:
    rewriter: Rewriter = RuleRewriter(card(), 0)
    asked = turn("Is it?", "Yes", YES_NO)
    (choice,) = rewriter.rewrite([RewriteRequest("k", "g", (), asked, CHOICE)])
    assert set(parse_options(made(choice).question).options) == {"Yes", "No"}  # type: ignore[union-attr]
    (short,) = rewriter.rewrite([RewriteRequest("k", "g", (), asked, SHORT)])
    assert made(short) == turn("Is it?", "Yes", SHORT)
    caption = turn("What?", "A bus.", CAPTION)
    assert rewriter.rewrite([RewriteRequest("k", "g", (), caption, BRIEF)]) == [
        Declined("not_rewritable")
    ]


BOX_TURN = turn("Where?", "[0.1, 0.1, 0.2, 0.2]", BOX)
BROKEN = [
    ("wrong_format", YES_NO, turn("Is it?", "a", SHORT), None),
    ("empty_text", SHORT, turn("Q?", " ", SHORT), None),
    ("answer_lost", SHORT, turn("Q?", "blue", SHORT), None),
    ("claim_not_asked", YES_NO, turn("Is it?", "yes", YES_NO), "red"),
    ("claim_not_asked", YES_NO, turn("Is it red?", "yes", YES_NO), None),
    ("wrong_truth", YES_NO, turn("Is it red?", "no", YES_NO), "red"),
    ("wrong_truth", YES_NO, turn("Is it blue?", "yes", YES_NO), "blue"),
    ("wrong_truth", YES_NO, turn("Is it scarlet?", "no", YES_NO), "scarlet"),
    ("wrong_format", YES_NO, turn("Is it red?", "Indeed", YES_NO), "red"),
    ("options_unreadable", CHOICE, turn("Q?", "A", CHOICE), None),
    ("options_unreadable", CHOICE, turn("Q?\nA. red", "A", CHOICE), None),
    ("options_not_distinct", CHOICE, turn("Q?\nA. red\nB. The red.", "A", CHOICE), None),
    ("answer_lost", CHOICE, turn("Q?\nA. blue\nB. green", "A", CHOICE), None),
    ("answer_lost", CHOICE, turn("Q?\nA. red\nB. scarlet", "A", CHOICE), None),
    ("wrong_letter", CHOICE, turn("Q?\nA. blue\nB. red", "A", CHOICE), None),
    ("wrong_letter", CHOICE, turn("Q?\nA. blue\nB. red", "red", CHOICE), None),
    ("answer_not_stated", BRIEF, turn("Q?", "The answer is blue.", BRIEF), None),
    ("answer_not_stated", DETAILED, turn("Q?", "Look with care.", DETAILED), None),
]


@pytest.mark.parametrize(("reason", "target", "after", "claim"), BROKEN)
def test_checks_name_what_is_broken(
    reason: str, target: AnswerFormat, after: Turn, claim: str | None
) -> None:
    request = RewriteRequest("k", "g", (), turn("Q?", "red", SHORT, "scarlet"), target)
    assert check(request, Rewritten(after, claim)) == reason


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("Q?\nA. x\nB. y", ("x", "y")),
        ("Q?\n(A) x\n(B) y z", ("x", "y z")),
        ("Q?\nA) x\nB) y\nC) z", ("x", "y", "z")),
        ("Q (A) x (B) y", ("x", "y")),
        ("A. x\nB. y", ("x", "y")),
        ("Q?\nA. x", None),
        ("Q?\nB. x\nC. y", None),
        ("Is A. Smith here?", None),
    ],
)
def test_option_lists(text: str, options: tuple[str, ...] | None) -> None:
    found = parse_options(text)
    assert (found.options if found else None) == options


@pytest.mark.parametrize(
    "group",
    [("Dog", "dog.", " the  dog", "A dog"), ("two", "2"), ("?",), ("The",), ("U.S.A.", "u.s.a")],
)
def test_normalise_joins_equal_answers(group: tuple[str, ...]) -> None:
    assert len({normalise(it) for it in group}) == 1
    assert normalise(group[0])
