"""Reading replies: what resembles JSON is read, parts find their questions, the rest is named."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_rewriter.facts import Fact
from asd_rewriter.formats import AnswerFormat
from asd_rewriter.llm.cache import Reply
from asd_rewriter.llm.judging import tidy_wrong
from asd_rewriter.llm.prompts import Kind, response_format
from asd_rewriter.llm.replies import is_refusal, read_reply

SHORT, YES_NO, CHOICE, BRIEF, DETAILED, BOX, CAPTION = AnswerFormat
RED = Fact("What colour?", "red", SHORT)
TWO = [RED, Fact("How many?", "2", SHORT)]


@pytest.mark.parametrize(
    "text",
    [
        '{"wrong_answers": ["blue"]}',
        '```json\n{"wrong_answers": ["blue"]}\n```',
        'Here you are:\n{"wrong_answers": ["blue",],}',
        '{"wrong_answers": ["blue"] // plausible\n}',
        "{'wrong_answers': ['blue']}",
        '{"wrong_answers": "blue"}',
        '["blue"]',
        '[{"wrong_answers": ["blue"]}]',
        '{"items": {"wrong_answers": ["blue"], "note": 1}}',
        '<think>{"wrong_answers": ["no"]}</think>{"wrong_answers": [" blue\\n"]}',
        '{"question_index": 1, "wrong_answers": ["blue"], "extra": {"a": 1}}',
        '{"wrong_answers": ["blue"]',
    ],
)
def test_what_resembles_json_is_read(text: str) -> None:
    assert read_reply(text, Kind.WRONG, [RED]) == [Reply(("blue",))]


def items(*parts: object) -> str:
    return json.dumps({"items": parts})


ONE, OTHER = {"explanation": "a"}, {"explanation": "b"}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (items({"question_index": 2, **OTHER}, {"question_index": 1, **ONE}), ["a", "b"]),
        (items({"question_index": "2", "answer": "two", **OTHER}), ["missing_item", "b"]),
        (items(ONE, OTHER), ["a", "b"]),
        (items(ONE), ["missing_item", "missing_item"]),
        (items(ONE, OTHER, ONE), ["missing_item", "missing_item"]),
        (items({"question_index": 1, "answer": "blue", **ONE}), ["echo_differs", "missing_item"]),
        (items(*({"question_index": 1, **it} for it in (ONE, OTHER))), ["a", "missing_item"]),
        (items({"question_index": 1, "explanation": 3}), ["wrong_shape", "missing_item"]),
        ("[]", ["not_json", "not_json"]),
        ("I am sorry, no.", ["refused", "refused"]),
    ],
)  # fmt: skip
def test_parts_find_their_questions(text: str, found: list[str]) -> None:
    replies = read_reply(text, Kind.EXPLAIN, TWO)
    assert [it.problem or it.texts[0] for it in replies] == found


def test_texts_can_be_stored_anywhere() -> None:
    text = r'{"explanation": "a\u0000 \ud83d\ude00\nb\ud83d"}'
    (reply,) = read_reply(text, Kind.EXPLAIN, TWO[:1])
    assert reply.texts == ("a 😀 b\ufffd",)


def test_the_last_part_of_a_reply_that_was_cut_off_is_not_trusted() -> None:
    text = '{"items": [{"question_index": 1, "explanation": "a"}, {"question_index": 2, "expl'
    first, second = read_reply(text, Kind.EXPLAIN, TWO, cut_off=True)
    assert (first.texts, second.problem) == (("a",), "cut_off")


@given(st.text(max_size=200) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda it: st.lists(it, max_size=3) | st.dictionaries(
        st.sampled_from(["items", "question_index", "explanation", "answer"]), it, max_size=4),
    max_leaves=8).map(json.dumps))  # fmt: skip
def test_any_reply_yields_one_part_per_question(text: str) -> None:
    replies = read_reply(text, Kind.EXPLAIN, TWO)
    assert len(replies) == 2
    assert all(it.problem is None or not it.texts for it in replies)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("I'm sorry, I can't do this", True), ("As an AI model", True), ("I cannot", True),
     ("I can see a bus", False), ("Sorry-looking dog", False), ("A sign says: I'm sorry", False)],
)  # fmt: skip
def test_refusals(text: str, expected: bool) -> None:
    assert is_refusal(text) is expected


@pytest.mark.parametrize(
    ("right", "wrong", "tidy"),
    [("red", "Blue.", "blue"), ("STOP", "yield", "YIELD"), ("Volvo", "saab", "Saab"),
     ("red", "B. blue", "blue"), ("red", "New York", "New York"), ("2", "3", "3"),
     ("Volvo", "BMW", "BMW")],
)  # fmt: skip
def test_wrong_answers_look_like_the_right_one(right: str, wrong: str, tidy: str) -> None:
    assert tidy_wrong(Fact("Q?", right, SHORT), wrong) == tidy


@pytest.mark.parametrize("target", [YES_NO, CHOICE, BRIEF, DETAILED])
@pytest.mark.parametrize("number", [1, 3])
def test_schemas_are_bounded(target: AnswerFormat, number: int) -> None:
    kind = Kind.WRONG if target in (YES_NO, CHOICE) else Kind.EXPLAIN

    def walk(schema: dict[str, object]) -> None:
        match schema["type"]:
            case "object":
                assert schema["additionalProperties"] is False
                properties = schema["properties"]
                assert isinstance(properties, dict)
                assert schema["required"] == list(properties)
                for it in properties.values():
                    walk(it)
            case "array":
                assert schema["minItems"] == schema["maxItems"]
                assert isinstance(schema["items"], dict)
                walk(schema["items"])
            case "string":
                assert "maxLength" in schema

    walk(response_format(kind, target, number)["json_schema"]["schema"])
