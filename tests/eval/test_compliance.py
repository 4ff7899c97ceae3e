import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_rewriter.formats import AnswerFormat
from eval.compliance import RULES, FormatCompliance, format_compliance, keeps_format
from eval.intervals import wilson
from tests.eval.factories import item

F = AnswerFormat
OPTIONS = "What is it?\nA. a cat\nB. a dog"


def asked(answer_format, *references, question="What is it?", number=0, task="colours"):
    return item(number, task=task).model_copy(
        update={
            "format": answer_format,
            "references": references or ("red",),
            "question": question,
            "prompt": f"{question} {number}",
        }
    )


@pytest.mark.parametrize(
    ("answer_format", "references", "answer", "kept"),
    [
        (F.SHORT_ANSWER, ("red",), "red", True),
        (F.SHORT_ANSWER, ("red",), "a very dark red.", True),
        (F.SHORT_ANSWER, ("red",), "blue", True),  # wrong, but short
        (F.SHORT_ANSWER, ("red",), "The colour of the bus is red.", False),
        (F.SHORT_ANSWER, ("red",), "red\nbecause", False),
        (F.SHORT_ANSWER, ("red",), "B", False),
        (F.SHORT_ANSWER, ("red",), "Yes.", False),
        (F.SHORT_ANSWER, ("yes", "no"), "Yes.", True),
        (F.SHORT_ANSWER, ("C",), "b", True),
        (F.SHORT_ANSWER, ("red",), "[0.1, 0.2, 0.3, 0.4]", False),
        (F.SHORT_ANSWER, ("one two three four five six seven",), "a b c d e f g", True),
        (F.SHORT_ANSWER, ("red",), " \n", False),
        (F.YES_NO, ("yes",), "No.", True),
        (F.YES_NO, ("yes",), "yes, it is", False),
        (F.MULTIPLE_CHOICE, ("A",), "B", True),
        (F.MULTIPLE_CHOICE, ("A",), "(b)", True),
        (F.MULTIPLE_CHOICE, ("A",), "C", False),  # not listed
        (F.MULTIPLE_CHOICE, ("A",), "B. a dog", False),
        (F.MULTIPLE_CHOICE, ("A",), "a dog", False),
        (F.BOX, ("[0.1, 0.2, 0.3, 0.4]",), "[0.5,0.5,0.9,1]", True),
        (F.BOX, ("[0.1, 0.2, 0.3, 0.4]",), "0.5, 0.5, 0.9, 1", False),
        (F.BOX, ("[0.1, 0.2, 0.3, 0.4]",), "at [0.5, 0.5, 0.9, 1]", False),
        (F.CAPTION, ("x",), "A red bus on a road.", True),
        (F.CAPTION, ("x",), "A red bus. It stands.", False),
        (F.CAPTION, ("x",), "bus", False),
        (F.BRIEF_EXPLANATION, ("x",), "It is red as the paint shows.", True),
        (F.BRIEF_EXPLANATION, ("x",), "red", False),
        (F.BRIEF_EXPLANATION, ("x",), "word " * 41, False),
        (F.DETAILED_EXPLANATION, ("x",), "word " * 25, True),
        (F.DETAILED_EXPLANATION, ("x",), "word " * 24, False),
    ],
)
def test_only_the_form_counts(answer_format, references, answer, kept):
    assert keeps_format(asked(answer_format, *references, question=OPTIONS), answer) is kept


def test_every_format_has_a_rule_in_words():
    assert set(RULES) == set(AnswerFormat)
    assert RULES[F.BRIEF_EXPLANATION] == "6 to 40 words"


@given(st.text(max_size=60), st.sampled_from(list(AnswerFormat)))
def test_any_text_is_judged(text, answer_format):
    assert keeps_format(asked(answer_format), text) in (True, False)


def test_a_reference_keeps_to_its_own_format():
    for answer_format, text in (
        (F.YES_NO, "yes"),
        (F.BOX, "[0.1, 0.2, 0.3, 0.4]"),
        (F.YES_NO, "no"),
    ):
        assert keeps_format(asked(answer_format, text), text)


def test_a_style_loss_shows_with_n_and_interval():
    items = [asked(F.SHORT_ANSWER, number=k) for k in range(40)]
    items += [asked(F.YES_NO, "yes", number=100 + k) for k in range(10)]
    learned = {it.digest: it.references[0] for it in items}
    now = learned | {it.digest: "Yes." for it in items[:30]}

    short, yes_no = format_compliance(items, {"colours": now}, {"colours": learned})

    assert (short.task, short.format, short.now.kept, short.now.n) == (
        "colours",
        "short_answer",
        10,
        40,
    )
    assert short.learned.percent == 100
    assert short.now.interval == wilson(25.0, 40)
    assert (short.change.change, short.change.lost, short.change.n) == (-75.0, 30, 40)
    assert short.change.p_adjusted == pytest.approx(2 * short.change.p_value)  # two compared
    assert (yes_no.now.percent, yes_no.change.p_value) == (100, 1)
    assert FormatCompliance.model_validate_json(short.model_dump_json()) == short


def test_both_sides_count_the_same_items_once():
    one, two = asked(F.SHORT_ANSWER, number=1), asked(F.SHORT_ANSWER, number=2)

    now = {"colours": {one.digest: "red", two.digest: "red"}}

    (found,) = format_compliance([one, two, one], now, {"colours": {one.digest: "red"}})
    (alone,) = format_compliance([one, two, one], now)

    assert (found.now.n, found.learned.n) == (1, 1)
    assert (alone.now.n, alone.learned, alone.change) == (2, None, None)
    assert format_compliance([one], {}, {}) == []


def test_tasks_are_apart():
    items = [asked(F.SHORT_ANSWER, number=k, task=name) for k, name in enumerate("aba")]

    one, other, two = items
    red = {"a": {one.digest: "red", two.digest: "red"}, "b": {other.digest: "red"}}
    found = format_compliance(items, red)

    assert [(it.task, it.now.n) for it in found] == [("a", 2), ("b", 1)]


def test_two_tasks_that_ask_the_same_have_learned_versions_of_their_own():
    one, other = (asked(F.SHORT_ANSWER, number=1, task=task) for task in "ab")
    assert one.digest == other.digest
    chatty = "It is as red as a bus can ever be."

    found = format_compliance(
        [one, other],
        {"a": {one.digest: "red"}, "b": {one.digest: "red"}},
        {"a": {one.digest: "red"}, "b": {one.digest: chatty}},
    )

    assert [(it.task, it.learned.kept, it.now.kept) for it in found] == [("a", 1, 1), ("b", 0, 1)]
