"""The same question in other formats, in every polarity and order."""

from __future__ import annotations

import pytest

from asd_rewriter.cards import TaskCard
from asd_rewriter.formats import AnswerFormat, parse_options
from asd_rewriter.rules.forms import OtherForms
from asd_rewriter.samples import Turn

SHORT, CHOICE = AnswerFormat.SHORT_ANSWER, AnswerFormat.MULTIPLE_CHOICE
CARD = TaskCard(name="buses", answer_format=SHORT, metric="exact_match")


def turn(answer: str, question: str = "What colour is the bus?", **fields: object) -> Turn:
    return Turn.model_validate({"question": question, "answer": answer, "format": SHORT, **fields})


@pytest.fixture
def forms() -> OtherForms:
    found = OtherForms(CARD, seed=0)
    for answer in ("red", "green", "blue", "white", "maroon"):
        found.learn(turn(answer))
    return found


def test_a_claim_that_is_right_and_one_that_is_wrong(forms: OtherForms) -> None:
    true, false = forms.both_polarities("key", turn("red"))

    assert (true.question, true.answer) == ("Is the bus red?", "yes")
    assert false.question.startswith("Is the bus ")
    assert (false.question != true.question, false.answer) == (True, "no")


def test_an_accepted_answer_is_no_false_claim_and_no_wrong_option(forms: OtherForms) -> None:
    asked = turn("red", references=("maroon", "white"))
    for key in map(str, range(30)):
        texts = [it.question for it in forms.both_polarities(key, asked)[1:]]
        texts += [it.question for it in forms.all_orders(key, asked)]
        assert not any(word in text for text in texts for word in ("maroon", "white"))


def test_the_same_options_with_the_right_one_at_every_place(forms: OtherForms) -> None:
    found = forms.all_orders("key", turn("red"))
    listed = [parse_options(it.question) for it in found]

    assert [it.answer for it in found] == ["A", "B", "C", "D"]
    assert [it.options.index("red") for it in listed if it] == [0, 1, 2, 3]
    assert len({frozenset(it.options) for it in listed if it}) == 1
    assert forms.all_orders("key", turn("red")) == found
    assert any(forms.all_orders(str(key), turn("red")) != found for key in range(9))


def test_native_options_are_kept_and_reordered() -> None:
    question = "Which one flies?\nA. a bat\nB. a cow\nC. a pig"
    found = OtherForms(CARD).all_orders("key", turn("A", question, format=CHOICE))

    listed = [parse_options(it.question) for it in found]
    assert [it.options.index("a bat") for it in listed if it] == [0, 1, 2]
    assert {it.stem for it in listed if it} == {"Which one flies?"}


@pytest.mark.parametrize(
    ("asked", "polarities", "orders"),
    [
        (turn("yes", "Is it raining?"), 0, 2),
        (turn("A", "Which?\nA. a cat\nB. all of the above", format=CHOICE), 2, 0),
        (turn("B", "Which?\nA. a cat\nB. all of the above", format=CHOICE), 0, 0),
        (turn("red", "Welche Farbe hat der Bus und warum ist das so?"), 0, 0),
        (turn("A bus.", "What is it?", format=AnswerFormat.CAPTION), 0, 0),
    ],
)
def test_what_does_not_suit_yields_nothing(
    forms: OtherForms, asked: Turn, polarities: int, orders: int
) -> None:
    assert len(forms.both_polarities("key", asked)) == polarities
    assert len(forms.all_orders("key", asked)) == orders


def test_a_pool_of_one_answer_yields_nothing() -> None:
    alone = OtherForms(CARD)
    alone.learn(turn("red"))

    assert alone.both_polarities("key", turn("red")) == alone.all_orders("key", turn("red")) == ()
