"""What holds for every metric in every mode."""

from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asd_rewriter.cards import Metric
from eval.scorers import MAX_ANSWER_CHARS, SCORERS, bind_scorer
from eval.scoring import score_item
from tests.asd_rewriter.scaling import growth
from tests.eval.scorers.asking import ask

QUESTION = "Which states?\nA. red\nB. blue"
NEED_JAVA = {("caption", "published")}
ALL = [
    (metric, mode)
    for metric in SCORERS
    for mode in ("fixed", "published", "lenient")
    if (metric, mode) not in NEED_JAVA
]
PIECES = "red not or A B . , the yes no [0.1, 0.2 0.3] 2 The answer is ' n't ( ) \n"
texts = st.text() | st.lists(st.sampled_from(PIECES.split(" "))).map(" ".join)


def test_there_is_a_scorer_for_every_metric_a_card_may_name():
    assert set(SCORERS) == set(get_args(Metric))


def test_a_mode_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match=r"no mode 'strict'. Use one of fixed, published, lenient"):
        bind_scorer(ask("iou", "[0, 0, 1, 1]"), "strict")


@settings(max_examples=600, deadline=None)
@given(st.sampled_from(ALL), texts, st.lists(texts, min_size=1, max_size=4))
def test_no_text_makes_a_scorer_fail(which, answer, references):
    metric, mode = which
    bound = bind_scorer(ask(metric, *references, question=QUESTION), mode)

    assert 0.0 <= bound(answer) <= 1.0


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(list(SCORERS)), texts, st.lists(texts, min_size=1, max_size=4))
def test_lenient_takes_nothing_away(metric, answer, references):
    item = ask(metric, *references, question=QUESTION)

    assert score_item(item, answer) <= score_item(item, answer, "lenient")


@pytest.mark.parametrize("metric", SCORERS)
@pytest.mark.parametrize("mode", ["fixed", "lenient"])
@pytest.mark.parametrize("empty", ["", "  \n", "."])
def test_an_empty_answer_scores_zero_even_against_an_empty_reference(metric, mode, empty):
    assert score_item(ask(metric, empty), empty, mode) == 0.0


@pytest.mark.parametrize(
    ("metric", "reference"),
    [("exact_match", "red"), ("vqa_soft", "red"), ("contains", "red"), ("option_letter", "A")],
)
@pytest.mark.parametrize("mode", ["fixed", "lenient"])
def test_an_overlong_answer_scores_zero(metric, reference, mode):
    item = ask(metric, reference)

    assert score_item(item, reference.ljust(MAX_ANSWER_CHARS), mode) == 1.0
    assert score_item(item, reference.ljust(MAX_ANSWER_CHARS + 1), mode) == 0.0


HOSTILE = ["(", "[1, ", "1", " ", "1.", "A ", "The answer is B ", "a", "red ", "n't", ".", "-1,"]


@pytest.mark.parametrize("piece", HOSTILE)
@pytest.mark.parametrize(
    ("metric", "mode"),
    [  # each way of reading an answer once
        ("exact_match", "lenient"),
        ("contains", "fixed"),
        ("vqa_soft", "fixed"),
        ("map_qa", "fixed"),
        *((metric, mode) for metric, mode in ALL if metric in ("option_letter", "iou")),
    ],
)
def test_time_is_linear_in_hostile_answers(metric, mode, piece):
    bound = bind_scorer(ask(metric, "red", question=QUESTION), mode)

    assert growth(bound, lambda n: piece * (n // len(piece)) + "x") < 8


@pytest.mark.parametrize(("metric", "mode"), ALL)
def test_a_megabyte_is_scored(metric, mode):
    assert score_item(ask(metric, "red"), "x " * 500_000, mode) == 0.0
