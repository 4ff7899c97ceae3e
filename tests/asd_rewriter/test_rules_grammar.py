"""Grammar: questions and claims as yes/no questions and statements, and where it gives up."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asd_rewriter.rules.grammar.lexicon import conjugated, is_gerund, singular, with_article
from asd_rewriter.rules.grammar.nouns import Number, noun_number, read_noun_phrase
from asd_rewriter.rules.grammar.places import placed, timed
from asd_rewriter.rules.grammar.reading import MAX_CHARS, read_clause

HERE = Path(__file__).parent


def table(name: str) -> list[list[str]]:
    """Return the rows of a table beside this file: columns divided by tabs."""
    return [line.split("\t") for line in (HERE / name).read_text("utf-8").splitlines()]


QUESTIONS = table("grammar_questions.tsv")
ASKED = [(question, claim, asked) for question, claim, asked in QUESTIONS if asked]
NOT_CERTAIN = [(question, claim) for question, claim, asked in QUESTIONS if not asked]
STYLES = table("grammar_styles.tsv")
STATED = [
    ("What color is the bus?", "red", "The bus is red."),
    ("How many dogs are there?", "3", "There are 3 dogs."),
    ("How many dogs are there?", "1", "There is 1 dog."),
    ("What is the man holding?", "bat", "The man is holding a bat."),
    ("What does the sign say?", "STOP", 'The sign says "STOP".'),
    ("What does the man have in his hand?", "racket", "The man has a racket in his hand."),
    ("What color is my shirt?", "pink", "Your shirt is pink."),
    ("Who wrote this book?", "Stephen King", "Stephen King wrote this book."),
    ("What is on the table?", "flowers", "There are flowers on the table."),
    ("What time does the clock say?", "10:30", "The clock says 10:30."),
    ("Where was this photo taken?", "zoo", "This photo was taken at the zoo."),
    ("What is flying in the sky?", "kite", "A kite is flying in the sky."),
    ("Does the shirt look white or black?", "white", "The shirt looks white."),
    ("Is this picture taken indoors or outdoors?", "outdoors", "This picture is taken outdoors."),
    ("What does the man carry?", "bag", "The man carries a bag."),
    ("How much does it cost?", "5", "It costs 5."),
    (
        "What is the title of this book?",
        "The Great Gatsby",
        'The title of this book is "The Great Gatsby".',
    ),
    ("What were the men riding?", "horses", "The men were riding horses."),
    ("What did the dog catch?", "ball", "The dog caught a ball."),
    ("Which continent is highlighted?", "Asia", "Asia is highlighted."),
    ("What is the boy about to hit?", "ball", "The boy is about to hit a ball."),
    ("What is the old car parked next to?", "tree", "The old car is parked next to a tree."),
    ("What is she taking a picture of?", "cat", "She is taking a picture of a cat."),
    ("What word best describes it?", "calm", 'The word "calm" best describes it.'),
    ("What color is the light showing?", "red", "The light is showing red."),
    ("In which year did exports peak?", "2014", "Exports peaked in 2014."),
    ("Who does the dog belong to?", "the woman", "The dog belongs to the woman."),
    ("What does the sign in the window read?", "OPEN", 'The sign in the window reads "OPEN".'),
    ("What station does it stop at next?", "Rye", 'It stops at the station "Rye" next.'),
    ("Why are the lights low?", "it is late", "The lights are low because it is late."),
    ("Which country has the tallest bar?", "Brazil", "Brazil has the tallest bar."),
    ("Where can you sit?", "on the bench", "You can sit on the bench."),
    ("How does he carry it?", "on his head", "He carries it on his head."),
    ("What are you not allowed to do?", "smoke", "You are not allowed to smoke."),
]
NOT_STATED = [
    ("What has the boy dropped?", "cone"),
    ("What did the dog bring back?", "stick"),
    ("What percent alcohol is it?", "12"),
    ("Which station do you change at to get home?", "Central"),
    ("What is the room number on the door?", "EXIT"),
    ("Who is throwing the ball?", "vine"),
]
LEAST_PERCENT = {"VQAv2": 95, "GQA": 95, "TextVQA": 95, "OCR-VQA": 95, "VizWiz": 90, "ImageNet": 95,
                 "ScienceQA": 65}  # fmt: skip


@pytest.mark.parametrize(("question", "claim", "asked"), ASKED)
def test_questions_are_asked_in_plain_english(question: str, claim: str, asked: str) -> None:
    clause = read_clause(question, claim)
    assert clause is not None
    assert clause.asked() == asked
    assert clause.claim in asked


@pytest.mark.parametrize(("question", "claim"), NOT_CERTAIN)
def test_what_is_not_certain_is_left_to_the_fallback(question: str, claim: str) -> None:
    assert read_clause(question, claim) is None


@pytest.mark.parametrize(("question", "claim", "stated"), STATED)
def test_facts_are_stated(question: str, claim: str, stated: str) -> None:
    clause = read_clause(question, claim)
    assert clause is not None
    assert clause.stated() == stated


@pytest.mark.parametrize(("question", "claim"), NOT_STATED)
def test_what_would_read_wrong_is_not_claimed(question: str, claim: str) -> None:
    assert read_clause(question, claim) is None


@pytest.mark.parametrize("style", LEAST_PERCENT)
def test_coverage_of_each_style_of_question(style: str) -> None:
    pairs = [(question, claim) for name, question, claim in STYLES if name == style]
    read = sum(read_clause(question, claim) is not None for question, claim in pairs)
    assert 100 * read >= LEAST_PERCENT[style] * len(pairs)


@pytest.mark.parametrize("claim", ["unanswerable", "none", "not sure", "", "x" * 200, "a\nb", "?"])
def test_answers_that_are_none_are_not_asked_about(claim: str) -> None:
    for question in ("What is this?", "What color is the bus?", "How many dogs are there?"):
        assert read_clause(question, claim) is None


@pytest.mark.parametrize(
    ("word", "number"),
    [
        ("dog", Number.ONE), ("dogs", Number.MANY), ("bus", Number.ONE), ("buses", Number.MANY),
        ("people", Number.MANY), ("men", Number.MANY), ("scissors", Number.MANY),
        ("furniture", Number.MASS), ("snow", Number.MASS), ("tennis", Number.MASS),
        ("frisbee", Number.MASS), ("red", None), ("quickly", None), ("holding", None),
        ("building", Number.ONE), ("tench", None), ("sheep", Number.ONE), ("glasses", Number.MANY),
    ],
)  # fmt: skip
def test_number_of_nouns(word: str, number: Number | None) -> None:
    assert noun_number(word) == number


@pytest.mark.parametrize(
    ("phrase", "written"),
    [
        ("apple", "an apple"), ("hour", "an hour"), ("umbrella", "an umbrella"),
        ("uniform", "a uniform"), ("bottle of wine", "a bottle of wine"), ("the dog", "the dog"),
        ("old man", "an old man"), ("a cat", "a cat"), ("water", "water"), ("two dogs", None),
        ("a dogs", None), ("dog and", None), ("very", None), ("his hat", "his hat"),
    ],
)  # fmt: skip
def test_articles(phrase: str, written: str | None) -> None:
    found = read_noun_phrase(phrase)
    assert (found.placed if found else None) == written


@pytest.mark.parametrize(
    ("claim", "written"),
    [
        ("couch", "on the couch"), ("kitchen", "in the kitchen"), ("zoo", "at the zoo"),
        ("outside", "outside"), ("on the left", "on the left"), ("left", "on the left"),
        ("on table", None), ("in water", "in water"), ("tower", None), ("home", "at home"),
        ("in front of the tv", "in front of the tv"), ("next to the bed", "next to the bed"),
    ],
)  # fmt: skip
def test_places_get_a_preposition_only_where_it_is_certain(claim: str, written: str | None) -> None:
    assert placed(claim) == written


@pytest.mark.parametrize(
    ("claim", "written"),
    [
        ("1999", "in 1999"), ("night", "at night"), ("morning", "in the morning"),
        ("summer", "in summer"), ("daytime", "during the daytime"), ("May", "in May"),
        ("1990s", "in the 1990s"), ("today", "today"), ("cold", None), ("at noon", "at noon"),
    ],
)  # fmt: skip
def test_times_get_a_preposition(claim: str, written: str | None) -> None:
    assert timed(claim) == written


def test_words_are_inflected() -> None:
    assert [conjugated("say", it) for it in ("do", "does", "did")] == ["say", "says", "said"]
    assert conjugated("have", "does") == "has"
    assert (singular("people"), singular("knives"), singular("bus")) == ("person", "knife", None)
    assert with_article("hour") == "an hour"
    assert [it for it in ("holding", "ring", "building", "riding") if is_gerund(it)] == [
        "holding", "riding",
    ]  # fmt: skip


WORDS = (
    "what which who where how many much color kind of is are does the a dog dogs man holding on in "
    "table left right or have say , ? 's written it this you see can be seen"
)
TEXTS = st.text(max_size=MAX_CHARS + 20) | st.lists(
    st.sampled_from(WORDS.split(" ")),
    max_size=14,
).map(lambda words: f"{' '.join(words).capitalize()}?")


@settings(max_examples=300, deadline=None)
@given(TEXTS, TEXTS | st.sampled_from(["dog", "3", "red", "on the bed", "STOP", "riding a horse"]))
def test_any_text_is_read_or_left(question: str, claim: str) -> None:
    clause = read_clause(question, claim)
    if clause is not None:
        assert clause.claim in clause.asked()
        assert clause.asked().endswith("?")
        assert "  " not in clause.asked()
