"""Wrong answers: where they come from, that they are wrong, and what they cost."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from random import Random

import pytest

from asd_rewriter.answers import normalise, parse_options
from asd_rewriter.checks import check
from asd_rewriter.facts import Fact, read_fact
from asd_rewriter.formats import AnswerFormat
from asd_rewriter.language import is_english
from asd_rewriter.rewriter import Declined, RewriteRequest, Rewritten
from asd_rewriter.rules import pool as pool_module
from asd_rewriter.rules.alternatives import named_alternatives
from asd_rewriter.rules.kinds import head_of, kind_of
from asd_rewriter.rules.ocr import read_tokens, wrong_tokens
from asd_rewriter.rules.pool import AnswerPool
from asd_rewriter.rules.rewriter import RuleRewriter
from asd_rewriter.rules.sameness import too_close
from asd_rewriter.rules.wording import ask, state
from asd_rewriter.samples import Turn
from tests.asd_rewriter.conftest import card

SHORT, YES_NO, CHOICE, BRIEF, DETAILED, BOX, CAPTION = AnswerFormat


def fact(question: str, answer: str, *more: str) -> Fact:
    found = read_fact(Turn(question=question, answer=answer, format=SHORT, references=more))
    assert found is not None
    return found


def pool_of(facts: Sequence[Fact], seed: int = 0) -> AnswerPool:
    pool = AnswerPool(seed=seed)
    for it in facts:
        pool.add(it)
    return pool


@pytest.mark.parametrize(
    ("one", "two", "close"),
    [
        ("color", "colour", True), ("gray", "grey", True), ("tv", "television", True),
        ("t-shirt", "tshirt", True), ("t shirt", "t-shirt", True), ("men", "man", True),
        ("berries", "berry", True), ("couch", "sofa", True), ("light gray", "grey", True),
        ("cell phone", "phone", True), ("buses", "bus", True), ("glass", "grass", False),
        ("red", "green", False), ("bus", "truck", False), ("tennis", "ten", False),
        ("left", "right", False), ("1", "10", False), ("horse", "house", False),
        ("circle", "round", True), ("cloudy", "overcast", True), ("none", "0", True),
        ("raining", "rainy", True), ("big", "large", True), ("rainy", "sunny", False),
    ],
)  # fmt: skip
def test_what_might_both_be_right(one: str, two: str, close: bool) -> None:
    assert too_close(one, two) is too_close(two, one) is close


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ("12", "number"), ("10:30", "number"), ("red", "colour"), ("Red", "colour"),
        ("STOP", "capitals"), ("riding a horse", "doing"), ("Stephen King", "name"),
        ("dog", "word"), ("tennis racket", "word"), ("in the park", "phrase"),
    ],
)  # fmt: skip
def test_kinds_of_answers(answer: str, kind: str) -> None:
    assert kind_of(answer) == kind


def test_questions_that_begin_alike_share_answers() -> None:
    assert head_of("What is the man holding?") == head_of("What is the girl holding?")
    assert head_of("What is the title of this book?") != head_of("What is the genre of this book?")
    assert head_of("What kind of dog is it?") != head_of("What kind of tree is it?")
    assert head_of("Why?") == "why?"


def test_numbers_get_near_values() -> None:
    pool = pool_of([fact("How many dogs are there?", str(it)) for it in range(0, 3000, 3)])
    for seed in range(20):
        found = pool.wrong(Random(seed), fact("How many dogs are there?", "1500"), 3)
        assert len(set(found)) == 3
        assert all(0 < abs(int(it) - 1500) <= 15 for it in found)


def test_similar_lengths_come_first() -> None:
    answers = [f"w{'x' * size}q{number}z" for size in (1, 30) for number in "abcdefgh"]
    pool = pool_of([fact("What is this?", it) for it in answers])
    found = [it for seed in range(50)
             for it in pool.wrong(Random(seed), fact("What is this?", answers[0]), 1)]  # fmt: skip
    assert sum(len(it) < 10 for it in found) > 40


def test_more_answers_than_fit_are_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "MAX_ANSWERS", 500)
    facts = [fact("What is this?", f"thing{number:05d}x") for number in range(5000)]
    pool, same, other = pool_of(facts), pool_of(facts[::-1]), pool_of(facts, seed=1)
    assert 400 <= len(pool) <= 500
    assert set(pool._numbers) != set(other._numbers)
    assert len(set(pool._numbers) & set(same._numbers)) >= 400
    late = sum(int(name[5:10]) >= 2500 for name in pool._numbers)
    assert 0.35 < late / len(pool) < 0.65
    assert pool.wrong(Random(0), facts[0], 3) == pool_of(facts).wrong(Random(0), facts[0], 3)
    assert len(pool.wrong(Random(0), facts[0], 3)) == 3


def test_a_pool_is_small() -> None:
    number = 20_000
    facts = [fact("What is the title?", f"Title {it} of a book") for it in range(number)]
    tracemalloc.start()
    try:
        pool = pool_of(facts)
        pool.wrong(Random(0), facts[0], 3)
        size = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert size / number < 550  # bytes; 200,000 answers stay below 110 MB


OCR = "What is written?\nReference OCR token: STOP, AHEAD, 42, stop, ., Main, SLOW"


def test_words_in_the_image_come_first() -> None:
    prefix = "Reference OCR token:"
    tokens = read_tokens(OCR, prefix)
    assert tokens == ["STOP", "AHEAD", "42", "stop", ".", "Main", "SLOW"]
    for seed in range(20):
        found = wrong_tokens(Random(seed), fact(OCR, "STOP"), tokens, 3)
        assert set(found[:2]) == {"AHEAD", "SLOW"}
        assert not {"stop", "."} & set(found)
    assert wrong_tokens(Random(0), fact(OCR, "blue"), tokens, 3) == []
    assert read_tokens("What?", prefix) == []


def rewritten(rewriter: RuleRewriter, turn: Turn, target: AnswerFormat) -> Rewritten:
    request = RewriteRequest("k", "g", (), turn, target)
    (outcome,) = rewriter.rewrite([request])
    assert isinstance(outcome, Rewritten)
    assert check(request, outcome) is None
    return outcome


def test_sources_are_noted() -> None:
    facts = [fact("What is this?", it) for it in ("dog", "cat", "cow", "hen", "fox")]
    asked = Turn(question="What is this?", answer="dog", format=SHORT)
    pool, labels = RuleRewriter(card(), 0), RuleRewriter(card(labels=("dog", "ant", "bee")), 0)
    ocr = RuleRewriter(card(ocr_prefix="Reference OCR token:"), 0)
    for it in facts:
        pool.learn(it)
        ocr.learn(it)
    assert rewritten(pool, asked, CHOICE).notes == ("distractors:pool",)
    assert rewritten(labels, asked, CHOICE).notes == ("fewer_options", "distractors:labels")
    read = rewritten(ocr, Turn(question=OCR, answer="STOP", format=SHORT), CHOICE)
    assert read.notes == ("distractors:ocr",)
    listed = parse_options(read.turn.question)
    assert listed is not None
    assert listed.stem == OCR
    assert {"STOP", "AHEAD", "SLOW"} <= set(listed.options)
    assert rewritten(ocr, asked, CHOICE).notes == ("distractors:pool",)
    native = Turn(question="Which?\nA. red\nB. blue", answer="A", format=CHOICE)
    claims = [rewritten(pool, native, YES_NO) for _ in range(4)]
    assert sorted(it.turn.answer for it in claims) == ["no", "no", "yes", "yes"]
    assert {it.notes for it in claims if it.turn.answer == "no"} == {
        ("fallback_wording", "distractors:options")
    }


def test_a_line_of_tokens_stays_under_the_natural_question() -> None:
    rewriter = RuleRewriter(card(ocr_prefix="Reference OCR token:"), 0)
    question = "What does the sign say?\nReference OCR token: STOP, SLOW"
    asked = rewritten(rewriter, Turn(question=question, answer="STOP", format=SHORT), YES_NO)
    assert asked.turn.question.splitlines()[1] == "Reference OCR token: STOP, SLOW"
    assert asked.turn.question.startswith('Does the sign say "S')


@pytest.mark.parametrize(("wrong", "natural"), [("green", True), ("wide open", False)])
def test_the_wording_does_not_give_the_truth_away(wrong: str, natural: bool) -> None:
    turn = Turn(question="What color is the bus?", answer="red", format=SHORT)
    rewriter = RuleRewriter(card(), 0)
    for answer in ("red", wrong):
        rewriter.learn(fact("What color is the bus?", answer))
    made = [rewritten(rewriter, turn, YES_NO) for _ in range(4)]
    assert sorted(it.turn.answer for it in made) == ["no", "no", "yes", "yes"]
    assert all(("fallback_wording" not in it.notes) is natural for it in made)


def test_a_yes_does_not_stand_for_a_no() -> None:
    assert ask(fact("What are you allowed to do?", "smoke"), "smoke") is not None
    forbidden = fact("What are you not allowed to do?", "smoke")
    assert ask(forbidden, "smoke") is None
    assert state(forbidden) == "You are not allowed to smoke."


@pytest.mark.parametrize(
    ("question", "answer", "others"),
    [
        ("Are those sheep or goats?", "goats", ["sheep"]),
        ("Is the bag to the left or to the right of the girl?", "right", ["left"]),
        ("Is the spoon in the top or bottom part of the image?", "top", ["bottom"]),
        ("Is the spoon in the top or bottom part of the image?", "bottom", ["top"]),
        ("Are they plain, striped or checkered?", "checkered", ["plain", "striped"]),
        ("Are they plain, striped or checkered?", "striped", ["plain", "checkered"]),
        ("is this my credit card or my library card", "library card", ["credit card"]),
        ("Which is taller, the boy or the tree?", "tree", ["boy"]),
        ("What is not on the plate, meat or vegetables?", "meat", ["vegetables"]),
        ("Is the toilet seat up or down?", "Up", ["down"]),
        ("Does this can have a pull tab or do I need an opener?", "pull tab", []),
        ("Are those sheep or goats?", "both", []),
        ("What is on the table or chair?", "cat", []),
        ("Is it grey or gray?", "gray", []),
    ],
)
def test_alternatives_that_a_question_names(question: str, answer: str, others: list[str]) -> None:
    assert named_alternatives(fact(question, answer)) == others


def test_named_alternatives_come_first() -> None:
    rewriter = RuleRewriter(card(), 0)
    for answer in ("squirrels", "cows", "horses", "dogs"):
        rewriter.learn(fact("What are those?", answer))
    turn = Turn(question="Are those sheep or goats?", answer="goats", format=SHORT)
    chosen = rewritten(rewriter, turn, CHOICE)
    assert chosen.notes == ("distractors:question",)
    listed = parse_options(chosen.turn.question)
    assert listed is not None
    assert {"sheep", "goats"} < set(listed.options)
    claims = {rewritten(rewriter, turn, YES_NO).claim for _ in range(4)}
    assert claims == {"sheep", "goats"}


@pytest.mark.parametrize(
    ("question", "right", "poor"),
    [
        ("What is this?", "dog", "unanswerable"), ("What is this?", "dog", "собака кот"),
        ("What is this?", "dog", "un gato"), ("Who is this?", "Abraham Lincoln", "man"),
        ("What sort of meat is this?", "ham", "meat"), ("Which animal is it?", "dog", "animal"),
        ("What is this man's job?", "firefighter", "woman"),
    ],
)  # fmt: skip
def test_poor_answers_come_last(question: str, right: str, poor: str) -> None:
    others = ("ant", "bee", "cow")
    pool = pool_of([fact(question, it) for it in (poor, poor, poor, *others, right)])
    for seed in range(10):
        assert set(pool.wrong(Random(seed), fact(question, right), 3)) == set(others)
    assert poor in pool.wrong(Random(0), fact(question, right), 4)


ENGLISH = ["Where?", "Name it.", "What colour is the bus?", "", "dog left", "42", "How many?",
           'What does "Der Hund ist da" say?', "café on the left", "man in red",
           "the boy that looks at you", "woman", "Is it?", "3rd from left"]  # fmt: skip
OTHER = ["¿De qué color es el autobús?", "De que color es el autobus?", "Welche Farbe hat der Bus?",
         "Quelle heure est-il ?", "Combien de chiens y a-t-il ?", "Qual é a cor do ônibus?",
         "Di che colore è l'autobus?", "これは何ですか", "Сколько собак на фото?", "这是什么颜色",
         "Hoeveel honden zijn er?", "Was ist das?", "¿Dónde está el perro?",
         "Hur många hundar är det?"]  # fmt: skip


@pytest.mark.parametrize("question", ENGLISH)
def test_english_questions(question: str) -> None:
    assert is_english(question)


@pytest.mark.parametrize("question", OTHER)
def test_questions_in_other_languages_stay_native(question: str) -> None:
    assert not is_english(question)
    request = RewriteRequest("k", "g", (), Turn(question=question, answer="x", format=SHORT), BRIEF)
    assert RuleRewriter(card(), 0).rewrite([request]) == [Declined("not_english")]


def test_answers_may_be_in_any_script() -> None:
    rewriter = RuleRewriter(card(), 0)
    for answer in ("犬", "кот", "猫"):
        rewriter.learn(fact("What does the sign say?", answer))
    turn = Turn(question="What does the sign say?", answer="犬", format=SHORT)
    for target in (YES_NO, CHOICE, BRIEF, DETAILED):
        assert "犬" in (it := rewritten(rewriter, turn, target)).turn.model_dump_json() or it.claim
    assert normalise("犬") == "犬"
