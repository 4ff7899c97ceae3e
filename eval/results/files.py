"""JSON as people's scripts write it: arrays, JSON lines, objects by id; errors name the line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from eval.results.errors import ResultsRefused


class Row(NamedTuple):
    """One JSON object of a file and where it is: `preds.jsonl, line 7`."""

    value: dict[str, Any]
    place: str


def read_rows(path: Path) -> list[Row]:
    """Return the objects of a `.jsonl` file or of a JSON array, with their places.

    Raises:
        ResultsRefused: if the file cannot be read, a line is not JSON or not an object, or a
            number is NaN or infinite.
    """
    text = read_text(path)
    if path.suffix != ".jsonl" and text.lstrip()[:1] == "[":
        rows = [
            (value, f"{path}, row {number}") for number, value in enumerate(_parsed(text, path), 1)
        ]
    else:
        lines = enumerate(text.split("\n"), 1)
        rows = [
            (_line(line, f"{path}, line {n}"), f"{path}, line {n}")
            for n, line in lines
            if line.strip()
        ]
    for value, place in rows:
        if not isinstance(value, dict):
            raise ResultsRefused(f"{place}: expected a JSON object, got {shown(value)}.")
    return [Row(value, place) for value, place in rows]


def read_json(path: Path) -> Any:
    """Return what a JSON file holds; raises as `read_rows` does."""
    return _parsed(read_text(path), path)


def read_text(path: Path) -> str:
    """Return a text file's content. Raises ResultsRefused."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ResultsRefused(f"cannot read {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ResultsRefused(f"{path} is not a text file in UTF-8: save it as UTF-8.") from error


def shown(value: Any, limit: int = 60) -> str:
    """Return a value as an error shows it: on one line, and short."""
    text = repr(value)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _parsed(text: str, path: Path) -> Any:
    return _decoded(text, str(path), lambda error: f"{path}, line {error.lineno}")


def _line(line: str, place: str) -> Any:
    return _decoded(line, place, lambda error: f"{place}, character {error.colno}")


def _decoded(text: str, place: str, place_of: Callable[[json.JSONDecodeError], str]) -> Any:
    try:
        value = _DECODER.decode(text)
        if _ESCAPED_SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise ResultsRefused(f"{place_of(error)}: not valid JSON: {error.msg}.") from error
    except UnicodeEncodeError as error:
        half = ascii(error.object[error.start])
        raise ResultsRefused(
            f"{place}: {half} is half a character and no text. Write answers as the tokenizer "
            "decodes them whole."
        ) from error
    except (ValueError, RecursionError) as error:
        raise ResultsRefused(f"{place}: {error}.") from error
    return value


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number in JSON; write the value, or leave the row out")


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in found if names.count(name) > 1)
        raise ValueError(f"{shown(twice)} is there twice in one object; keep one of them")
    return found


_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_DECODER = json.JSONDecoder(parse_constant=_no_number, object_pairs_hook=_without_repeats)
