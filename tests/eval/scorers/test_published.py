"""Golden vectors of the published rules and of what `fixed` repairs, one for each quirk.

`coin`: CoIN's evaluation scripts as SEFE uses them (jinpeng0528/SEFE, llava/eval/CoIN); `m4c`:
M4C's EvalAI answer processor (LLaVA, llava/eval/m4c_evaluator.py); `mcit`: the scripts of
MCITlib's UCIT and MLLM-DCL; `hand`: worked by hand from the rule. Expected: (published, fixed).
"""

import pytest

from eval.scorers import vqa_soft
from eval.scorers.iou import parse_box_as_published
from eval.scorers.option_letter import published_letter_of
from tests.eval.scorers.asking import ask, scores

OPTIONS = "What is it made of?\nA. wood\nB. glass\nC. stone"
STATES = "Which states have a value of 2?"

VECTORS = [
    # exact_match, mcit UCIT: upper-cased texts are equal
    ("exact_match", ("red",), "RED", 1, 1),
    ("exact_match", ("red",), "red.", 0, 1),  # a trailing period is wrong
    ("exact_match", ("dark red",), "dark  red", 0, 1),  # inner white space counts
    ("exact_match", ("",), "", 1, 0),  # an empty answer equals an empty truth
    ("exact_match", ("Strasse",), "straße", 1, 0),  # upper case turns ß into SS
    ("exact_match", ("red",), "it is red", 0, 0),
    # gqa, coin: convert_gqa_for_eval, then equal to the truth as it is written
    ("gqa", ("red",), "Red...", 1, 1),
    ("gqa", ("Red",), "Red", 0, 1),  # a truth with capitals is never matched
    ("gqa", ("u.s.",), "u.s.", 0, 1),  # nor one with a period
    ("gqa", ("",), ".", 1, 0),
    ("gqa", ("red",), "it is red", 0, 0),
    # vizwiz, vqav2, coin: upper-cased texts are equal, one of the people's answers decides
    ("vizwiz", ("unanswerable",), "Unanswerable", 1, 1),
    ("vizwiz", ("yes",), "yes.", 0, 1),
    ("vizwiz", ("",), "", 1, 0),
    # ocr_vqa, coin
    ("ocr_vqa", ("Tom Jones",), "tom jones", 1, 1),
    ("ocr_vqa", ("Unanswerable",), "Unanswerable", 0, 1),  # wrong even where it is the truth
    ("ocr_vqa", ("unanswerable",), "unanswerable", 1, 1),  # only with a capital
    ("ocr_vqa", ("Tom Jones",), "Tom Jones.", 0, 1),
    ("ocr_vqa", ("",), "", 1, 0),
    # class_name, coin eval_imagenet: part of the output, or the output part of it
    ("class_name", ("goldfish",), "goldfish", 1, 1),
    ("class_name", ("goldfish",), "", 1, 0),  # an empty answer passes
    ("class_name", ("goldfish",), "g", 1, 0),  # and a letter
    ("class_name", ("hot dog",), "dog", 1, 0),  # and a part of the name
    ("class_name", ("goldfish",), "Goldfish", 0, 1),  # case counts
    ("class_name", ("goldfish",), "a goldfish swims in a bowl", 1, 1),
    ("class_name", ("cat",), "a caterpillar", 1, 0),  # no word boundary
    ("class_name", ("goldfish",), "this is not a goldfish", 1, 0),
    ("class_name", ("goldfish",), "goldfish, shark, cat", 1, 0),  # a list of classes
    ("class_name", ("tench, Tinca tinca",), "tinca tinca", 0, 1),
    # contains, mcit Med: the lower-cased truth is in the lower-cased answer
    ("contains", ("lung",), "The LUNG is shown", 1, 1),
    ("contains", ("15",), "it is 1,5 metres", 0, 0),
    ("contains", ("1500",), "it is 1,500 metres", 0, 1),
    ("contains", ("1234567",), "it is 1,234,567", 0, 1),
    ("contains", ("123456",), "it is 12,3456", 0, 0),
    ("contains", ("no",), "unknown", 1, 0),
    ("contains", ("red",), "It is not red", 1, 0),
    ("contains", ("",), "anything", 1, 0),
    ("contains", ("lung",), "Unanswerable, lung", 0, 0),
    ("contains", ("no",), "No, there is none", 1, 1),
    ("contains", ("yes",), "no, or yes", 1, 0),
    ("contains", ("urban",), "Sure, urban. Because of the roads.", 1, 1),
    ("contains", ("urban",), "urban, rural", 1, 0),  # a second answer beside it
    ("contains", ("urban",), "The area is urban, it seems to be a town", 1, 1),
    # contains_words, mcit RS and AD
    ("contains_words", ("urban",), "An urban area.", 1, 1),
    ("contains_words", ("no",), "I do not know", 1, 0),  # a space before it is enough
    ("contains_words", ("cat",), "a concat thing", 1, 0),  # or one after it
    ("contains_words", ("red",), "hundred", 1, 0),  # an answer of one word: anywhere
    ("contains_words", ("1",), "10", 1, 0),
    ("contains_words", ("turn left",), "turn leftover", 1, 0),  # several words: anywhere
    ("contains_words", ("left.",), "it turns left", 1, 1),  # a truth of one word loses periods
    ("contains_words", ("left",), "it turns (left)", 0, 1),
    ("contains_words", ("rural",), "an urban area", 0, 0),
    # exact_unspaced, mcit Fin: the answer loses spaces and periods, the truth does not
    ("exact_unspaced", ("b",), " B. ", 1, 1),
    ("exact_unspaced", ("not sure",), "not sure", 0, 1),
    ("exact_unspaced", ("",), ". .", 1, 0),
    ("exact_unspaced", ("up",), "it is up", 0, 0),
    ("exact_unspaced", ("35",), "3.5", 1, 0),
    ("exact_unspaced", ("1.25",), "1.25.", 0, 1),
]  # fmt: skip


@pytest.mark.parametrize(("metric", "truths", "answer", "published", "fixed"), VECTORS)
def test_published_and_fixed_rules(metric, truths, answer, published, fixed):
    assert scores(ask(metric, *truths), answer)[:2] == (published, fixed)


@pytest.mark.parametrize(
    ("question", "truth", "answer", "published", "fixed"),
    [  # mcit Sci
        ("Which?", "b", "B", 1, 1),
        ("Which?", "B", "B.", 0, 1),
        ("Which?", "b", "a", 0, 0),
        (STATES, "Ohio,Texas", "ohio,texas", 1, 1),
        (STATES, "Ohio, Texas", "Texas, Ohio", 0, 1),  # the space after a comma is kept
        (STATES, "Ohio, Texas", "Ohio, Maine", 0.5, 1 / 3),  # share of true; of true or named
        (STATES, "Ohio", "Ohio,Texas,Maine,Iowa", 1, 0.25),  # to name them all is right
        (STATES, "Ohio, Texas and Iowa", "Iowa, Ohio, and Texas.", 0, 1),
        (STATES, "Ohio", "", 0, 0),
        ("How many?", "no", "nothing is known", 1, 0),
        ("How many?", "no", "No", 1, 1),
        ("How many?", "12", "Unanswerable 12", 0, 1),
    ],
)
def test_map_questions(question, truth, answer, published, fixed):
    item = ask("map_qa", truth, question=question)

    assert scores(item, answer)[:2] == (pytest.approx(published), pytest.approx(fixed))


@pytest.mark.parametrize(
    ("answer", "published", "fixed"),
    [  # coin: eval_science_qa; the truth is B of A, B, C
        ("B", 1, 1),
        (" B\n", 1, 1),  # the script that writes predictions strips them
        ("B. glass", 1, 1),
        ("B. ", 0, 0),  # stripped to "B.", which is neither form
        ("The answer is B.", 1, 1),
        ("The answer is B, I think", 1, 0),  # the period stands for any character
        ("The answer is Because", 1, 0),
        ("The answer is B", 0, 0),
        ("The answer is B. The answer is C.", 0, 0),  # exactly one
        ("The answer is B. The answer is Dim", 0, 1),
        ("b", 0, 0),
        ("(B)", 0, 0),
        ("B)", 0, 0),
        ("glass", 0, 0),
        ("", 0, 0),
    ],
)
def test_letters(answer, published, fixed):
    assert scores(ask("option_letter", "B", question=OPTIONS), answer)[:2] == (published, fixed)


def test_a_letter_counts_only_up_to_the_number_of_choices():
    beyond, longer = ask("option_letter", "D", question=OPTIONS), ask("option_letter", "F")

    assert scores(beyond, "D") == (0, 0, 0)  # coin: three choices, so D is no answer
    assert scores(longer, "F") == (0, 1, 1)  # coin: the script knows A to E only
    assert published_letter_of("The answer is Z.") == "Z"  # read, but never among the choices


@pytest.mark.parametrize(
    ("text", "box"),
    [  # coin: eval_grounding
        ("[0.76, 0.33, 0.99, 0.65]", (0.76, 0.33, 0.99, 0.6)),  # the 5 is lost
        ("[0.10, 0.20, 0.90, 0.9]", (0.1, 0.2, 0.9, 0.0)),  # a last 0.9 becomes 0.
        ("[1.0, 0.2, 1.0, 0.90]", (0.0, 0.2, 1.0, 0.9)),  # a first 1.0 becomes .0
        ("[.76, 0.33, 0.99, 0.65]", (76.0, 0.33, 0.99, 0.6)),  # .76 becomes 76
        ("0.76, 0.33, 0.99, 0.65", (0.76, 0.33, 0.99, 0.6)),
        ("[[0.1, 0.2]], [0.3, 0.45]", (0.1, 0.2, 0.3, 0.4)),
        ("(0.1, 0.2, 0.3, 0.4)", (0.1, 0.2, 0.3, 0.4)),  # parentheses are what is dropped
        ("It is [0.1, 0.2, 0.3, 0.4]", None),
        ("[0.1, 0.2, 0.3]", None),
        ("[0.1, 0.2, 0.3, 0.4, 0.5]", None),
        ("[0.1, 0.2, nan, 0.4]", None),
        ("", None),
    ],
)
def test_boxes_as_published(text, box):
    expected = box if box and box[0] < box[2] and box[1] < box[3] else None

    assert parse_box_as_published(text) == expected


@pytest.mark.parametrize(
    ("answer", "published", "fixed"),
    [
        ("[0.10, 0.10, 0.50, 0.50]", 1, 1),
        ("[0.1, 0.1, 0.5, 0.5]", 0, 1),  # coin: reads 0.1, 0.1, 0.5, 0.
        ("The box is [0.1, 0.1, 0.5, 0.5].", 0, 1),
        ("[0.1, 0.1, 0.5, 0.5] or [0.6, 0.6, 0.9, 0.9]", 0, 0),
        ("[0.1, 0.1, 0.5, 0.5] [0.1, 0.1, 0.5, 0.5]", 0, 1),
        ("here", 0, 0),
    ],
)
def test_grounding(answer, published, fixed):
    assert scores(ask("iou", "[0.1, 0.1, 0.5, 0.5]"), answer)[:2] == (published, fixed)


def test_only_32_periods_go_as_published():
    """m4c: `re.UNICODE` (32) is passed where the number of replacements belongs."""
    stop = "." * 33 + "stop"

    assert vqa_soft.normalise_published(stop) == ".stop"
    assert vqa_soft.normalise(stop) == "stop"
    assert scores(ask("vqa_soft", "stop"), stop)[:2] == (0, 1)


def test_an_answer_that_vanishes_equals_a_vote_that_vanishes_as_published():
    votes = ["the"] * 4 + ["red"] * 6

    assert scores(ask("vqa_soft", *votes), "?")[:2] == (1, 0)
