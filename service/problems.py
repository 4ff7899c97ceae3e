"""What pydantic refused, in words for people: where, what is wrong, and the value seen."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

MAX_SHOWN_CHARS = 80
_MAX_PROBLEMS = 10
_MAX_READ = 100  # a body may hold a hundred thousand
_OUR_KEYS = re.compile(r"rtk_[\w-]*")
_SECRETS = frozenset({"key", "api_key", "authorization", "password", "secret", "token"})

# How pydantic names the members of a union within a place, e.g. "list[constrained-str]".
_MEMBER = re.compile(r"constrained-\w+|int|str|float|bool|none|[\w-]+\[.+\]")
_KEY = "[key]"  # its mark of an object's key that is itself wrong

_MISFITS = {
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "dict_type": "must be a JSON object",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "list_type": "must be a list",
    "model_attributes_type": "must be a JSON object",
    "model_type": "must be a JSON object",
    "string_type": "must be text",
    "tuple_type": "must be a list",
}
"""What is said of a value of the wrong kind, by pydantic's name of the problem."""

_WITHOUT_VALUE = {
    "missing": "is required",
    "extra_forbidden": "is not a field that is known here",
    "json_invalid": "is not JSON",
    "unknown_field": "",
    "value_error": "",
}
"""Problems whose value would not help: it is missing, or the whole object around it."""


@dataclass(frozen=True)
class _Problem:
    """One of pydantic's problems: where, of which kind, what is wrong, and the value seen."""

    place: tuple[str, ...]
    kind: str
    text: str
    seen: str


def describe(errors: Iterable[Any], root: str = "") -> tuple[str, str | None]:
    """Return one message for pydantic's errors, and the first one's place without internals.

    `root` is the field that the errors lie in. Of a union's members the one that fits best
    speaks; where none fits, they are named together.
    """
    problems = _merged([_read(error) for error in islice(errors, _MAX_READ)])
    places = [".".join(filter(None, (root, *it.place))) for it in problems]
    said = [
        f"{place or 'body'}: {it.text}{it.seen}"
        for place, it in zip(places[:_MAX_PROBLEMS], problems, strict=False)
    ]
    more = "; and more" if len(problems) > len(said) else ""
    return "; ".join(said) + more, places[0] or None


def _read(error: Any) -> _Problem:
    kind, context = error["type"], error.get("ctx") or {}
    place = [] if kind == "json_invalid" else _place(error["loc"], kind)
    if "field" in context:
        place.append(str(context["field"]))
    text = _text(error, kind, context)
    if error["loc"] and error["loc"][-1] == _KEY:
        text = f"its name {text}"
    return _Problem(tuple(place), kind, text, _seen(error, kind, place))


def _place(loc: Sequence[Any], kind: str) -> list[str]:
    place: list[str] = []
    tagged = False  # the next name is a tag that chose a union's member
    for index, part in enumerate(loc):
        unknown = kind == "extra_forbidden" and index == len(loc) - 1  # any name there is
        if not isinstance(part, str) or unknown:
            place.append(str(part)[:MAX_SHOWN_CHARS])
        elif tagged:
            tagged = False
        elif _MEMBER.fullmatch(part):
            tagged = "tagged-union[" in part
        elif part != _KEY:
            place.append(part[:MAX_SHOWN_CHARS])
    return place


def _text(error: Any, kind: str, context: dict[str, Any]) -> str:
    if kind == "json_invalid":
        at = f" at character {error['loc'][-1]}" if error["loc"] else ""
        return f"is not JSON: {context['error']}{at}"
    if kind == "union_tag_invalid":
        wanted = context["expected_tags"].replace(", ", " or ")
        return f"its {context['discriminator']} must be {wanted} (got {shown(context['tag'])})"
    if kind == "union_tag_not_found":
        return f"has no {context['discriminator']}"
    text = _MISFITS.get(kind) or _WITHOUT_VALUE.get(kind) or str(error["msg"])
    text = text.removeprefix("Value error, ").replace(" after validation", "")
    return re.sub(r"^(Data|Dictionary|Input|List|Set|String|Tuple|Value) should ", "must ", text)


def _seen(error: Any, kind: str, place: Sequence[str]) -> str:
    value = error.get("input")
    about_the_whole = isinstance(value, dict) and kind not in _MISFITS
    if kind in _WITHOUT_VALUE or about_the_whole or _SECRETS & {it.lower() for it in place[-1:]}:
        return ""
    return f" (got {shown(value)})"


class _Picture(reprlib.Repr):
    def repr_str(self, x: str, level: int) -> str:
        """Return a text's beginning without API keys."""
        return repr(_OUR_KEYS.sub("rtk_…", x[: MAX_SHOWN_CHARS + 1]))


def shown(value: Any) -> str:
    """Return a short picture of a value for a message; API keys are left out."""
    if isinstance(value, bytes):
        value = value[: MAX_SHOWN_CHARS + 1].decode("utf-8", "replace")
    picture = _Picture().repr(value)
    return picture if len(picture) <= MAX_SHOWN_CHARS else f"{picture[: MAX_SHOWN_CHARS - 1]}…"


def _merged(problems: Sequence[_Problem]) -> list[_Problem]:
    """Keep one problem a place, the deepest: what lies around it follows from it."""
    places = {it.place: None for it in problems}
    inner = [at for at in places if not any(_is_inside(other, at) for other in places)]
    return [_one([it for it in problems if it.place == at]) for at in inner]


def _is_inside(place: tuple[str, ...], other: tuple[str, ...]) -> bool:
    return len(place) > len(other) and place[: len(other)] == other


def _one(members: Sequence[_Problem]) -> _Problem:
    """Return what a union's members say together; a member of the value's kind speaks alone."""
    fitting = [it for it in members if it.kind not in (*_MISFITS, "literal_error")]
    first, *others = fitting[:1] or members
    text = " or ".join([first.text, *(it.text.removeprefix("must be ") for it in others)])
    return _Problem(first.place, first.kind, text, first.seen)
