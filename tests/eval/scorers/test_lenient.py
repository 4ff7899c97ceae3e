"""What a lenient reading accepts and, more important, what it never accepts. All by hand."""

import pytest

from eval.scoring import score_item
from tests.eval.scorers.asking import ask

COLOUR = "What colour is the car?"
OPTIONS = "What is it made of?\nA. wood\nB. glass\nC. dark glass"


def lenient(item, answer, rivals=()):
    return score_item(item, answer, "lenient", rivals)


@pytest.mark.parametrize(
    "answer",
    [
        "red", "RED.", "It is red.", "The car is red", "a red car", "The colour is red.",
        "Red, because it is a fire engine.", "red\n", "The answer is: red.", "Well, red.",
        "The answer is **red**.", "It's red", "'red'", "red red red", "It is red in this image.",
        "Based on the picture, the car is red.",
    ],
)  # fmt: skip
@pytest.mark.parametrize("metric", ["exact_match", "gqa", "vizwiz", "ocr_vqa", "vqa_soft"])
def test_a_sentence_that_says_the_answer_is_accepted(metric, answer):
    assert lenient(ask(metric, "red", question=COLOUR), answer) == 1.0


@pytest.mark.parametrize(
    "answer",
    [
        "not red", "It is not red.", "It isn't red", "never red", "anything but red",
        "red or blue", "blue or red", "either red", "red and blue", "red, blue", "red/blue",
        "red; blue", "dark red", "reddish", "red wine", "redcar", "hundred", "far from red",
        "The car is blue. Red would be wrong.", "less than red", "blue", "", "   ",
        "I cannot tell if it is red", "It might be red", "The stop sign is red. The car is blue.",
        "red? blue!", "red - blue", "red (blue)", "no red", "without red", "unlike red",
        "It was red, but now it is blue.", "rather red", "Red is wrong", "In red, in blue",
        "It looks red, so it is blue.", "Is it red?", "Is the car red? Yes",
        "The car is red in part, blue in part",
    ],
)  # fmt: skip
@pytest.mark.parametrize("metric", ["exact_match", "gqa", "vizwiz", "ocr_vqa", "vqa_soft"])
def test_a_wrong_or_doubtful_answer_is_not(metric, answer):
    assert lenient(ask(metric, "red", question=COLOUR), answer) == 0.0


@pytest.mark.parametrize(
    ("truth", "answer", "expected"),
    [
        ("2", "There are two cars.", 1), ("two", "2", 1), ("2", "2 or 3", 0), ("2", "12", 0),
        ("2", "2.5", 0), ("2", "-2", 0), ("2", "between 1 and 2", 0), ("2", "more than 2", 0),
        ("2", "2 cars, 3 trucks", 0), ("1,000", "1000", 1), ("15", "It is 1,5", 0),
        ("15", "1,5", 0), ("1500", "It is 1,500.", 1), ("1,5", "It is 1,5.", 1),
        ("2", "2 million", 0),
        ("yes", "Yes, it is.", 1), ("yes", "yes", 1), ("yes", "Yes it does not matter", 1),
        ("no", "No, there is not.", 1), ("no", "There is no car", 0), ("yes", "no", 0),
        ("yes", "yes and no", 0), ("yes", "Yes or no", 0), ("no", "no, yes", 0),
        ("yes", "I would say yes", 0), ("yes", "Yes, but not really", 0), ("no", "not", 0),
        ("no", "No idea", 0),
        ("no", "No one knows", 0), ("no", "No it isn't", 1), ("no", "No.", 1), ("2", "2%", 0),
        ("2", "2-3", 0), ("2", "1/2", 0), ("2", "2nd", 0), ("2", "It is 2.", 1),
        ("not sure", "I am not sure", 0), ("not sure", "not sure", 1),
    ],
)  # fmt: skip
def test_numbers_and_yes_and_no(truth, answer, expected):
    question = "How many cars are there?"

    assert lenient(ask("exact_match", truth, question=question), answer) == expected


def test_the_alternatives_of_a_question_do_not_count_as_its_words():
    item = ask("gqa", "red", question="Is the car red or blue?")

    assert [lenient(item, text) for text in ("red", "It is red.", "red blue", "blue red")] == [
        1, 1, 0, 0
    ]  # fmt: skip


def test_known_rivals_free_the_rest_of_the_text_and_forbid_themselves():
    item, rivals = ask("exact_match", "red", question=COLOUR), ("blue", "dark red", "red")
    long = "The car is red. It stands before a house."

    assert lenient(item, long) == 0.0
    assert lenient(item, long, rivals) == 1.0
    assert lenient(item, "The car is red. The house is blue.", rivals) == 0.0
    assert lenient(ask("exact_match", "dark red"), "It is dark red.", ("red",)) == 1.0


def test_the_best_vote_that_is_said_gives_the_score():
    item = ask("vqa_soft", *["red"] * 2, *["dark red"] * 8, question=COLOUR)

    assert lenient(item, "It is dark red") == 1.0
    assert lenient(item, "It is red") == pytest.approx(0.6)
    assert lenient(item, "red") == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("B", 1), ("b", 1), ("(B)", 1), ("b)", 1), ("B:", 1), ("Option B", 1), ("option (b).", 1),
        ("The answer is B", 1), ("The correct answer is (B).", 1), ("Answer: B", 1), ("**B**", 1),
        ("glass", 1), ("Glass.", 1), ("It is made of glass.", 1), ("B. glass", 1),
        ("(B) glass", 1), ("B because it shines", 1), ("I choose option B because it shines.", 1),
        ("It is glass. It shines in the sun.", 1), ("The answer is glass", 1),
        ("A", 0), ("C", 0), ("D", 0), ("a", 0), ("wood", 0), ("dark glass", 0), ("A or B", 0),
        ("B or C", 0), ("A, B", 0), ("a or b", 0), ("not B", 0), ("It is not glass", 0),
        ("wood or glass", 0), ("glass and wood", 0), ("B, C", 0), ("(B) or (C)", 0),
        ("The answer is C, not B", 0), ("B and A", 0), ("glasses", 0), ("Bad", 0), ("", 0),
        ("(B) wood", 0), ("option b or option c", 0), ("All of A, B and C", 0), ("fiberglass", 0),
        ("A B", 0), ("A is the best; option B is second", 0), ("I think A is right, B less so", 0),
        ("not A but B", 0), ("The options are A B C", 0), ("glass?", 1), ("Is it glass?", 0),
        ("Neither B", 0), ("It is wood. B is wrong.", 0), ("hourglass", 0), ("ABC", 0),
    ],
)  # fmt: skip
def test_letters_and_their_options(answer, expected):
    assert lenient(ask("option_letter", "B", question=OPTIONS), answer) == expected


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("A", 1), ("a", 1), ("(a)", 1), ("A because", 1), ("The answer is A", 1), ("option a", 1),
        ("It is A.", 1), ("A dog", 0), ("A or B", 0), ("The answer is a cat", 0),
    ],
)  # fmt: skip
def test_an_article_is_no_letter(answer, expected):
    assert lenient(ask("option_letter", "A", question="Which?"), answer) == expected


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("[0.1, 0.1, 0.5, 0.5]", 1), ("x1=0.1, y1=0.1, x2=0.5, y2=0.5", 1),
        ("(0.1, 0.1), (0.5, 0.5)", 1), ("[0.5, 0.5, 0.1, 0.1]", 1), ("0.1 0.1 0.5 0.5", 1),
        ("The car is at [0.1, 0.1, 0.5, 0.5], left of the house.", 1),
        ("[0.6, 0.6, 0.9, 0.9]", 0), ("[0.1, 0.1, 0.5, 0.5] or [0.6, 0.6, 0.9, 0.9]", 0),
        ("0.1, 0.1, 0.5", 0), ("0.1, 0.1, 0.5, 0.5, 0.9", 0), ("left", 0),
    ],
)  # fmt: skip
def test_boxes(answer, expected):
    assert lenient(ask("iou", "[0.1, 0.1, 0.5, 0.5]"), answer) == expected
