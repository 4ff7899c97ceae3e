"""Reading a model's reply: strict JSON or what resembles it, one part per question."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Annotated, Any

import json_repair
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from asd_rewriter.answers import normalise
from asd_rewriter.facts import Fact
from asd_rewriter.llm.cache import Reply
from asd_rewriter.llm.prompts import Kind, text_field

REFUSED = "refused"
NOT_JSON = "not_json"
WRONG_SHAPE = "wrong_shape"
MISSING_ITEM = "missing_item"
ECHO_DIFFERS = "echo_differs"
CUT_OFF = "cut_off"

_KEPT_CHARS = 500
_MAX_REPAIRED = 65_536
_THOUGHTS = re.compile(r"\A.*?</think(?:ing)?>", re.S)
_REFUSAL = re.compile(
    r"\A\W*(?:i['’]?m (?:very |really |so )?sorry|i am sorry|sorry,|i apologi[sz]e|as an ai\b|"
    r"i (?:can ?not|can['’]?t|am unable to|['’]m unable to|won['’]?t)\b)",
    re.I,
)


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class _Item(BaseModel):
    """One question's part; fields nobody asked for are passed over."""

    model_config = ConfigDict(extra="ignore", strict=True)

    texts: Annotated[list[str], BeforeValidator(_listed)]
    question_index: Annotated[int | None, BeforeValidator(lambda it: _number(it))] = None
    answer: str | None = None


def is_refusal(text: str) -> bool:
    """Whether a text begins as models do that decline to answer."""
    return _REFUSAL.match(text) is not None


def read_reply(text: str, kind: Kind, facts: Sequence[Fact], cut_off: bool = False) -> list[Reply]:
    """Return the part of each question. `cut_off`: the reply ended at its length limit."""
    body = _THOUGHTS.sub("", text, count=1).strip()
    found = _load(body)
    items = _items(found, kind)
    if not items:
        problem = REFUSED if is_refusal(body) else CUT_OFF if cut_off else NOT_JSON
        return [Reply(problem=problem, raw=body[:_KEPT_CHARS])] * len(facts)
    if cut_off:  # the last part may look whole and is not
        items = [*items[:-1], {**items[-1], "cut": True}]
    placed = _placed(items, len(facts))
    return [_part(placed.get(at), kind, fact, len(facts)) for at, fact in enumerate(facts)]


def _load(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        start = min((at for at in map(text.find, "{[") if at >= 0), default=-1)
    if start < 0:
        return None
    try:
        return json_repair.loads(text[start:_MAX_REPAIRED])
    except (ValueError, RecursionError, IndexError):
        return None


def _items(found: Any, kind: Kind) -> list[dict[str, Any]]:
    if isinstance(found, dict):
        inner = found.get("items")
        if isinstance(inner, dict):
            found = [inner]
        elif isinstance(inner, list):
            found = inner
        else:
            found = [found] if found else []
    if not isinstance(found, list):
        return []
    if found and kind is Kind.WRONG and all(isinstance(it, str) for it in found):
        return [{text_field(kind): found}]
    return [it for it in found if isinstance(it, dict)]


def _placed(items: Sequence[dict[str, Any]], number: int) -> dict[int, dict[str, Any]]:
    """Put parts to questions by their index; without any index, by order if all are there."""
    indices = [_number(it.get("question_index")) for it in items]
    if number == 1 or (indices == [None] * len(items) and len(items) == number):
        return dict(enumerate(items[:number]))
    placed: dict[int, dict[str, Any]] = {}
    for index, item in zip(indices, items, strict=True):
        if index is not None:
            placed.setdefault(index - 1, item)
    return placed


def _part(item: dict[str, Any] | None, kind: Kind, fact: Fact, number: int) -> Reply:
    if item is None:
        return Reply(problem=MISSING_ITEM)
    raw = json.dumps(item, ensure_ascii=False)[:_KEPT_CHARS]
    if item.get("cut"):
        return Reply(problem=CUT_OFF, raw=raw)
    try:
        read = _Item.model_validate({**item, "texts": item.get(text_field(kind))})
    except ValidationError:
        return Reply(problem=WRONG_SHAPE, raw=raw)
    texts = tuple(_storable(text) for text in read.texts)
    if any(is_refusal(text) for text in texts):
        return Reply(problem=REFUSED, raw=raw)
    if number > 1 and read.answer and normalise(read.answer) != normalise(fact.answer):
        return Reply(problem=ECHO_DIFFERS, raw=raw)
    return Reply(texts)


def _storable(text: str) -> str:
    """Return a text in one line, without NUL; half a surrogate pair becomes U+FFFD."""
    whole = text.replace("\0", "").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return " ".join(whole.split())


def _number(value: Any) -> int | None:
    if isinstance(value, str) and value.strip().isdecimal():
        return int(value[:9])
    return value if isinstance(value, int) and not isinstance(value, bool) else None
