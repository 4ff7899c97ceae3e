"""Rows taken apart and put together: what is not rewritten stays as it was."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_rewriter.formats import INSTRUCTIONS, AnswerFormat, strip_instruction, with_instruction
from asd_rewriter.limits import RowLimits
from asd_rewriter.sources.conversations import BadRow, put_together, stripping, take_apart
from tests.asd_rewriter.conftest import row

SHORT, YES_NO, *_ = AnswerFormat
LINE = INSTRUCTIONS[SHORT]
STRIP = stripping({})


def again(value: dict[str, Any]) -> dict[str, Any]:
    """Return a row after reading and writing, each question asked for a short answer."""
    found = take_apart(value, RowLimits(), STRIP)
    asked = [with_instruction(turn.question, SHORT) for turn in found.turns]
    return put_together(found, asked, {})


def asked(question: str, **more: Any) -> Any:
    return {"id": "1", "image": "a.png", "x": {"y": [1]}, **more, "conversations": [
        {"from": "human", "value": question, "w": 2}, {"from": "gpt", "value": " red "},
    ]}  # fmt: skip


MARKS = st.sampled_from(["", "<image>", "<image>\n", "\n<image>", "<image> <image>\n"])
WORDS = st.sampled_from(
    ["What is it?", "Name it\nin words.", "Is <image> like it?", "é \U0001f600?"]
)


@given(MARKS, WORDS, MARKS)
def test_marks_stay_where_they_are(before: str, question: str, after: str) -> None:
    text = f"{before}{question}\n{LINE}{after}".strip()
    value = asked(text, images=["a.png"] * 5)
    assert again(value) == value


def test_instructions_are_recognised_and_exactly_one_is_written() -> None:
    for line in ("\n" + LINE, "", " Answer with one word.", "\nPlease give a short answer."):
        done = again(asked(f"<image>\nWhat is it?{line}"))
        assert done["conversations"][0]["value"] == f"<image>\nWhat is it?\n{LINE}"


def test_answers_and_unknown_keys_are_not_touched() -> None:
    value = asked(f"What?\n{LINE}")
    before = repr(value)
    assert again(value) == value
    found = take_apart(value, RowLimits(), STRIP)
    done = put_together(found, ["Why?"], {0: "so"})
    assert [it["value"] for it in done["conversations"]] == ["Why?", "so"]
    assert done["conversations"][0]["w"] == 2
    assert repr(value) == before


@pytest.mark.parametrize("where", ["conversations", "messages"])
@pytest.mark.parametrize("keys", [("from", "value"), ("role", "content")])
@pytest.mark.parametrize("names", [("human", "gpt"), ("user", "assistant")])
@pytest.mark.parametrize("system", [False, True])
def test_the_row_keeps_its_own_shape(
    where: str, keys: tuple[str, str], names: tuple[str, str], system: bool
) -> None:
    texts = [(names[0], f"What?\n{LINE}"), (names[1], "a"), (names[0], f"And?\n{LINE}"),
             (names[1], "b")]  # fmt: skip
    said = [("system", "Be brief.")] * system + texts
    value = {"id": 3, where: [dict(zip(keys, it, strict=True)) for it in said]}
    found = take_apart(value, RowLimits(), STRIP)
    assert [(it.question, it.answer) for it in found.turns] == [("What?", "a"), ("And?", "b")]
    assert again(value) == value


@pytest.mark.parametrize(
    ("changes", "images"),
    [({"image": "a/b.jpg"}, ("a/b.jpg",)), ({"image": ["a", "b"]}, ("a", "b")),
     ({"images": ["a", "b"]}, ("a", "b")), ({"image": None}, ()), ({"image": ""}, ()), ({}, ()),
     ({"image": {"path": "a.png", "bytes": b"x"}}, ("a.png",)),
     ({"image": {"path": None, "bytes": b"x"}}, ("embedded",))],
)  # fmt: skip
def test_images_are_named_as_the_row_names_them(
    changes: dict[str, Any], images: tuple[str, ...]
) -> None:
    assert take_apart(row("1", "What?", "red") | changes, RowLimits(), STRIP).images == images


def test_a_mark_inside_a_question_is_not_lost_by_a_new_wording() -> None:
    value = asked("Is <image> a bus?")
    found = take_apart(value, RowLimits(), STRIP)
    done = put_together(found, ["Is it a tram?"], {0: "no"})
    assert done["conversations"][0]["value"] == "<image>\nIs it a tram?"


BAD: dict[str, list[Any]] = {
    "not_an_object": [3, None, ["a"], "text"],
    "bad_id": [{"id": True}, {"id": ""}, {"id": "x" * 300}, {"id": "a\x00"}, {"id": {}}],
    "no_conversation": [{"id": "1"}, {"id": "1", "conversations": []}, {"conversations": "hi"}],
    "bad_image_field": [asked("What?") | {"image": 3}, asked("What?") | {"image": [""]}],
    "too_many_images": [asked("What?") | {"image": ["a"] * 17}],
    "image_marks": [row("1", "<image> and <image>?", "red", image="a.png")],
    "bad_answers": [row("1", "What?", "red", answers="red")],
    "no_final_answer": [{"conversations": [{"from": "human", "value": "What?"}]}],
    "not_alternating": [
        {"conversations": [{"from": "gpt", "value": "What?"}]},
        {"conversations": [{"from": "human", "value": "a"}, {"from": "human", "value": "b"}]},
        {"conversations": ["What?", "red"]},
    ],
    "empty_text": [row("1", "What?", " "), row("1", "", "a"), row("1", LINE, "a"),
                   row("1", "What?", 3)],  # type: ignore[arg-type]
    "text_too_long": [row("1", "What?", "a" * 40_000)],
    "bad_text": [row("1", "What\x00?", "a")],
}  # fmt: skip


@pytest.mark.parametrize(("rule", "value"), [(it, row) for it, rows in BAD.items() for row in rows])
def test_bad_rows_have_a_reason(rule: str, value: Any) -> None:
    with pytest.raises(BadRow) as caught:
        take_apart(value, RowLimits(), STRIP)
    assert caught.value.rule == rule


JSON = st.recursive(
    st.none() | st.booleans() | st.integers()
    | st.sampled_from(["human", "gpt", "", "a", "<image>"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["id", "image", "images", "conversations", "messages", "from", "value",
                         "role", "content", "answers"]), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(JSON)
def test_any_json_is_read_or_refused(value: Any) -> None:
    with contextlib.suppress(BadRow):
        assert take_apart(value, RowLimits(), STRIP).turns


OWN = ["One word!", "Tell me\nOne word!", LINE, "yes"]


@given(
    st.lists(st.sampled_from([*OWN, *INSTRUCTIONS.values(), "What?", "", "\n", " ", "Name it. "]),
             max_size=5),
    st.dictionaries(st.sampled_from(AnswerFormat), st.sampled_from(OWN), max_size=3),
    st.sampled_from(["\n", " "]),
)  # fmt: skip
def test_the_short_way_strips_as_the_long_one(
    pieces: list[str], overrides: dict[AnswerFormat, str], between: str
) -> None:
    text = between.join(pieces)
    assert stripping(overrides)(text) == strip_instruction(text, overrides)
