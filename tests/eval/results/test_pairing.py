"""Predictions meet their questions: all of them, and no others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.results.errors import PredictionsMismatch
from eval.results.pairing import pair
from eval.results.predictions import Prediction
from eval.results.references import Reference, items_of

PATH = Path("preds.jsonl")
ASKED = "What colour is the bus?\nReference OCR token: 7, A\nAnswer with a single word or phrase."


def items(*ids: str, question: str = ASKED) -> list[Any]:
    rows = [Reference(key, question, ("red",), f"{key}.jpg", f"r, {key}") for key in ids]
    return items_of("buses", rows, "exact_match")


def predictions(*ids: str, prompt: str | None = None) -> dict[str, Prediction]:
    return {key: Prediction(f"a{key}", prompt, f"p, {key}") for key in ids}


@given(st.permutations(["1", "2", "3", "x"]))
def test_the_order_does_not_matter(order: list[str]) -> None:
    asked = items("1", "2", "3", "x")
    answers = pair(asked, predictions(*order), PATH)
    assert [answers[item.digest] for item in asked] == ["a1", "a2", "a3", "ax"]


def test_missing_and_unknown_ids_are_counted_and_named() -> None:
    with pytest.raises(PredictionsMismatch, match=r"2 of the 3 questions .* the first is '2'"):
        pair(items("1", "2", "3"), predictions("1"), PATH)
    with pytest.raises(
        PredictionsMismatch, match=r"1 of 2 predictions .* is '9' \(p, 9\).*another"
    ):
        pair(items("1"), predictions("1", "9"), PATH)


@pytest.mark.parametrize(
    "prompt",
    [None, "", ASKED, f"<image>\n{ASKED}", "what colour is the bus", f"<image>\n{ASKED}\nThink."],
)
def test_a_prompt_may_say_more_or_less(prompt: str | None) -> None:
    assert pair(items("1"), predictions("1", prompt=prompt), PATH)


def test_another_question_is_another_dataset() -> None:
    asked, other = items("1", "2"), predictions("1", "2", prompt="How many cats are there?")
    with pytest.raises(PredictionsMismatch, match=r"p, 1: .*'How many cats.*\(2 of 2 differ\)"):
        pair(asked, other, PATH)
    assert pair(asked, other, PATH, check_prompts=False)
