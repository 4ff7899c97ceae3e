"""A or an, by sound; plurals."""

from __future__ import annotations

import pytest

from asd_rewriter.rules.grammar.lexicon import plural, with_article

AN = """apple; umbrella; hour; honest man; 8-year-old; 11; 18 cars; 80; X; x-ray; FBI agent; MRI;
usher; uninvited guest; unidentified bird; urn; ATM; EXIT sign; orange bus; onion; Euler diagram"""
A = """bus; uniform; unit; unanimous vote; European car; one-way street; user; utensil; UFO;
ukulele; US flag; USB stick; STOP sign; NASA photo; RED; 1 dog; 100; house; yellow hat; T"""


@pytest.mark.parametrize("phrase", [it.strip() for it in AN.split(";")])
def test_a_phrase_that_sounds_like_a_vowel_takes_an(phrase: str) -> None:
    assert with_article(phrase) == f"an {phrase}"


@pytest.mark.parametrize("phrase", [it.strip() for it in A.split(";")])
def test_others_take_a(phrase: str) -> None:
    assert with_article(phrase) == f"a {phrase}"


@pytest.mark.parametrize(
    ("one", "many"),
    [("bus", "buses"), ("red bus", "red buses"), ("fire hydrant", "fire hydrants"),
     ("man", "men"), ("knife", "knives"), ("sheep", "sheep"), ("cherry", "cherries")],
)  # fmt: skip
def test_plurals(one: str, many: str) -> None:
    assert plural(one) == many
