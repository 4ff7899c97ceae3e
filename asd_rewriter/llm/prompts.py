"""What the model is asked. A change of any wording must change PROMPT_VERSION, a part of the key.

The contracts are SEFE's (arXiv 2505.02486): one wrong option for yes/no, three for multiple choice,
explanations of about 20 and 50 words, descriptions of boxed objects. The wordings are ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from asd_rewriter.facts import Fact
from asd_rewriter.formats import AnswerFormat

PROMPT_VERSION = 1

SYSTEM = "You write training data for a model that looks at pictures. Reply with JSON only."


class Kind(StrEnum):
    """What a turn needs: wrong answers, an explanation, why a label fits, or a description."""

    WRONG = "wrong"
    EXPLAIN = "explain"
    CLASSIFY = "classify"
    DESCRIBE = "describe"


WRONG_OPTIONS: Mapping[AnswerFormat, int] = {
    AnswerFormat.YES_NO: 1,
    AnswerFormat.MULTIPLE_CHOICE: 3,
}
_MAX_CHARS: Mapping[AnswerFormat, int] = {
    AnswerFormat.YES_NO: 80,
    AnswerFormat.MULTIPLE_CHOICE: 80,
    AnswerFormat.BRIEF_EXPLANATION: 400,
    AnswerFormat.DETAILED_EXPLANATION: 900,
}
_MAX_TOKENS: Mapping[AnswerFormat, int] = {
    AnswerFormat.YES_NO: 60,
    AnswerFormat.MULTIPLE_CHOICE: 160,
    AnswerFormat.BRIEF_EXPLANATION: 160,
    AnswerFormat.DETAILED_EXPLANATION: 360,
}
_ECHO_TOKENS = 40

_WRONG = (
    "Write {number} for the question. A wrong answer must be false for this picture, yet plausible "
    "in it; neither another word for the right answer nor absurd. Keep the kind, length, case and "
    "language of the right answer. Words that the question lists as read from the picture are good "
    "candidates."
)
_EXPLAIN = (
    "Explain in about {words} words, in the question's language, why the answer is right. "
    "{how} Use the answer word for word and no other facts than what is visible or asked. Write as "
    "one who looks at the picture: never mention that an answer was given."
)
_CLASSIFY = (
    "The answer names the picture's class. Say in about {words} words, in the question's language, "
    "which visible features show this class{how}. Use the class name word for word; never mention "
    "that it was given."
)
_DESCRIBE = (
    "The answer is a box [x1, y1, x2, y2] in fractions of width and height. Describe the object in "
    "it in about {words} words, in the question's language, by {how}. No coordinates."
)
_HOW: Mapping[tuple[Kind, AnswerFormat], str] = {
    (Kind.EXPLAIN, AnswerFormat.BRIEF_EXPLANATION): "Name the part of the picture that shows it.",
    (Kind.EXPLAIN, AnswerFormat.DETAILED_EXPLANATION): "Go through all cues in the picture.",
    (Kind.CLASSIFY, AnswerFormat.BRIEF_EXPLANATION): "",
    (Kind.CLASSIFY, AnswerFormat.DETAILED_EXPLANATION): (
        " and how it differs from classes that look similar"
    ),
    (Kind.DESCRIBE, AnswerFormat.BRIEF_EXPLANATION): "what sets it apart",
    (Kind.DESCRIBE, AnswerFormat.DETAILED_EXPLANATION): (
        "all its visible features: looks, place, what is around it"
    ),
}
_TASKS = {Kind.EXPLAIN: _EXPLAIN, Kind.CLASSIFY: _CLASSIFY, Kind.DESCRIBE: _DESCRIBE}
_HINTS: Mapping[str, str] = {
    "not_json": "it was not the JSON asked for",
    "wrong_shape": "fields were missing or had the wrong type",
    "wrong_count": "it did not have the number of wrong answers asked for",
    "missing_item": "it left this question out",
    "echo_differs": "it answered another question",
    "cut_off": "it was too long",
    "too_short": "it was too short",
    "too_long": "it was too long",
    "right_answer_as_wrong": "a wrong answer meant the same as the right one",
    "options_not_distinct": "two wrong answers were the same",
    "answer_not_stated": "it did not use the answer word for word",
    "mentions_given_answer": "it mentioned that an answer was given",
    "answer_contradicted": "it named another answer",
    "has_coordinates": "it had coordinates",
    "refused": "you did not answer, though the task is harmless",
}


def text_field(kind: Kind) -> str:
    """Return the name of the reply's field that holds what was asked for."""
    return {Kind.WRONG: "wrong_answers", Kind.DESCRIBE: "description"}.get(kind, "explanation")


def user_text(
    kind: Kind, target: AnswerFormat, facts: Sequence[Fact], hint: tuple[str, Sequence[str]] | None
) -> str:
    """Return the text beside the images. `hint`: why the last reply failed, and its texts."""
    lines = [_task(kind, target), _reply_shape(kind, target, len(facts))]
    if hint is not None:
        said = "; ".join(hint[1])[:300]
        reason = _HINTS.get(hint[0], hint[0].replace("_", " "))
        lines.append(
            f"Your last reply was refused: {reason}." + (f" It was: {said}" if said else "")
        )
    for number, fact in enumerate(facts, 1):
        name = f"Question {number}" if len(facts) > 1 else "Question"
        lines.append(f"{name}: {fact.question}\nAnswer: {fact.answer}")
        if fact.accepted and kind is Kind.WRONG:
            lines.append(f"Also right: {'; '.join(dict.fromkeys(fact.accepted))}")
    return "\n".join(lines)


def response_format(kind: Kind, target: AnswerFormat, number: int) -> dict[str, Any]:
    """Return the JSON schema of a reply, bounded so that a weak model cannot go on for ever."""
    text: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": _MAX_CHARS[target]}
    if kind is Kind.WRONG:
        count = WRONG_OPTIONS[target]
        text = {"type": "array", "items": text, "minItems": count, "maxItems": count}
    one = {text_field(kind): text}
    if number > 1:
        echo = {
            "question_index": {"type": "integer", "minimum": 1, "maximum": number},
            "answer": {"type": "string", "maxLength": 80},
        }
        items = {"type": "array", "items": _object(echo | one), "minItems": number}
        one = {"items": items | {"maxItems": number}}
    schema = {"name": "reply", "strict": True, "schema": _object(one)}
    return {"type": "json_schema", "json_schema": schema}


def max_tokens(target: AnswerFormat, number: int) -> int:
    """Return how many tokens a reply about so many questions may have."""
    return _MAX_TOKENS[target] * number + (_ECHO_TOKENS * number if number > 1 else 0)


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _task(kind: Kind, target: AnswerFormat) -> str:
    if kind is Kind.WRONG:
        count = WRONG_OPTIONS[target]
        return _WRONG.format(number="one wrong answer" if count == 1 else "three wrong answers")
    words = 20 if target is AnswerFormat.BRIEF_EXPLANATION else 50
    return _TASKS[kind].format(words=words, how=_HOW[kind, target])


def _reply_shape(kind: Kind, target: AnswerFormat, number: int) -> str:
    values = ", ".join(['"..."'] * WRONG_OPTIONS.get(target, 1))
    field = f'"{text_field(kind)}": ' + (f"[{values}]" if kind is Kind.WRONG else '"..."')
    if number == 1:
        return f"Reply: {{{field}}}"
    return (
        f"Treat each of the {number} questions apart. "
        f'Reply: {{"items": [{{"question_index": 1, "answer": "...", {field}}}, ...]}}'
    )
