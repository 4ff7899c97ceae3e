"""Golden vectors of the default rules. `coin`: rules of the CoIN evaluation scripts as the SEFE
authors use them; `m4c`: outputs of M4C's EvalAI answer processor; `hand`: worked by hand.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_rewriter import answers
from eval.scorers import vqa_soft
from eval.scorers.iou import overlap, parse_box
from eval.scorers.option_letter import letter_of
from eval.scoring import score_item
from tests.asd_rewriter.scaling import growth
from tests.eval.scorers.asking import ask


@pytest.mark.parametrize(
    ("prediction", "reference", "expected"),
    [
        ("Red", "red", 1.0),  # coin: lower-cased
        ("red.", "red", 1.0),  # coin: trailing period
        (" dark \n red ", "dark red", 1.0),  # hand: white space
        ("red", "Red.", 1.0),
        ("it is red", "red", 0.0),  # coin: extra words are wrong
        ("r.e.d", "red", 0.0),
    ],
)
def test_exact_match(prediction, reference, expected):
    assert score_item(ask("exact_match", "other", reference), prediction) == expected


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("B", "B"),  # coin
        (" B\n", "B"),
        ("B. Glass", "B"),  # coin: prefix
        ("The answer is C.", "C"),  # coin
        ("Glass is hard. The answer is C.", "C"),
        ("The answer is C. The answer is D.", None),  # coin: exactly one
        ("The answer is C", None),
        ("b", None),  # coin: format errors cost
        ("(B)", None),
        ("B)", None),
        ("B.", None),
        ("Bad idea", None),
        ("Glass", None),
        ("H", "H"),
        ("I", None),
    ],
)
def test_option_letter(text, letter):
    assert letter_of(text) == letter
    assert score_item(ask("option_letter", letter or "B"), text) == float(letter is not None)


@pytest.mark.parametrize(
    ("answer", "normal"),
    [  # all m4c
        ("The Red Car", "red car"),
        ("two", "2"),
        ("None", "0"),
        ("1,000", "1000"),
        ("3.", "3"),
        ("3.5", "3.5"),
        ("U.S.", "us"),
        ("dont know", "don't know"),
        ("couldnt've", "couldn't've"),
        ("yall'd've", "y'all'd've"),
        ("dog's", "dog 's"),
        ("a/b", "b"),
        ("x-ray", "x ray"),
        ("x- ray", "x ray"),
        ("(stop)", "stop"),
        ("what?!", "what"),
        ("coca\tcola\n", "coca cola"),
    ],
)
def test_vqa_normalisation(answer, normal):
    assert vqa_soft.normalise(answer) == normal


@pytest.mark.parametrize(
    ("matches", "expected"), [(0, 0.0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1.0), (10, 1.0)]
)
def test_vqa_soft_score_over_ten_humans(matches, expected):
    """m4c: leave one out; for three matches (3 * 2/3 + 7 * 1) / 10 = 0.9."""
    references = ["Red."] * matches + [f"other {k}" for k in range(10 - matches)]

    assert score_item(ask("vqa_soft", *references), "the red") == pytest.approx(expected)


def test_vqa_soft_score_over_few_references():
    def score(answer, votes):
        return score_item(ask("vqa_soft", *votes), answer)

    assert score("red", ["red"]) == 1.0
    assert score("red", ["red", "red"]) == 1.0
    assert score("red", ["red", "blue"]) == 1.0  # too few to leave one out: any counts
    assert score("green", ["red", "blue"]) == 0.0
    assert score("red", ["red", "blue", "green"]) == pytest.approx(1 / 3)  # (0 + 1/2 + 1/2) / 3
    assert score("red", ["red", "red", "blue"]) == pytest.approx(2 / 3)  # (2 * 1/2 + 1) / 3


@pytest.mark.parametrize(
    ("text", "box"),
    [
        ("[0.76, 0.33, 0.99, 0.65]", (0.76, 0.33, 0.99, 0.65)),  # coin's own parser loses the 5
        ("[0.1, 0.2, 1.0, 0.9]", (0.1, 0.2, 1.0, 0.9)),  # ... and reads this 0.9 as 0.0
        ("The box is [0,0,1,1].", (0, 0, 1, 1)),
        ("(1, 2, 3, 4)", (1, 2, 3, 4)),
        ("1 2 3 4", (1, 2, 3, 4)),
        (".1, .2, .3, .4", (0.1, 0.2, 0.3, 0.4)),
        ("item 5: [1, 2, 3, 4]", (1, 2, 3, 4)),
        ("[1, 2, 3]", None),
        ("[1, 2, 3, 4, 5]", None),
        ("[3, 2, 1, 4]", None),
        ("[nan, 0, 1, 1]", None),
        ("[0, 0, 1e999, 1]", None),
        ("x1 y2 z3 w4", None),
    ],
)
def test_boxes_are_parsed(text, box):
    assert parse_box(text) == box


@pytest.mark.parametrize(
    ("start", "filling", "end"),
    [
        ("[", "1", ""),
        ("", "1", "x"),
        ("[0,0,0,1", " ", "x"),
        ("", "[1, ", ""),
        ("", "1.", "x"),
        ("", "1 ", "x"),
        ("", "1e5", "x"),
    ],
)
def test_time_is_linear_in_hostile_boxes(start, filling, end):
    assert growth(parse_box, lambda n: start + filling * (n // len(filling)) + end) < 8


corner = st.floats(0, 0.5)
side = st.floats(0.01, 0.5)
boxes = st.tuples(corner, corner, side, side).map(
    lambda it: (it[0], it[1], it[0] + it[2], it[1] + it[3])
)


@given(boxes, boxes)
def test_overlap_is_the_same_here_and_where_rows_are_rewritten(one, two):
    assert overlap(one, two) == answers.iou(one, two)


def test_overlap_of_boxes():
    assert overlap((0, 0, 2, 2), (1, 0, 3, 2)) == pytest.approx(2 / 6)
    assert overlap((0, 0, 1, 1), (1, 0, 2, 1)) == 0.0


def test_a_box_is_right_strictly_above_one_half():
    def score(answer, boxes):
        return score_item(ask("iou", *boxes), answer)

    assert score("[0, 0, 1, 1]", ["[0, 0, 2, 1]"]) == 0.0  # exactly one half
    assert score("[0, 0, 1.01, 1]", ["[0, 0, 2, 1]"]) == 1.0
    assert score("[0, 0, 1, 1]", ["nothing", "[0, 0, 1, 1]"]) == 1.0
