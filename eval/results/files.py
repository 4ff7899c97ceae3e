"""JSON as people's scripts write it: arrays, JSON lines, objects by id; errors name the line."""

from __future__ import annotations

import json
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
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise ResultsRefused(
            f"{path}, line {error.lineno}: not valid JSON: {error.msg}."
        ) from error
    except (ValueError, RecursionError) as error:
        raise ResultsRefused(f"{path}: {error}.") from error


def _line(line: str, place: str) -> Any:
    try:
        return _DECODER.decode(line)
    except json.JSONDecodeError as error:
        raise ResultsRefused(
            f"{place}: not valid JSON: {error.msg} at character {error.colno}."
        ) from error
    except (ValueError, RecursionError) as error:
        raise ResultsRefused(f"{place}: {error}.") from error


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number in JSON; write the value, or leave the row out")


_DECODER = json.JSONDecoder(parse_constant=_no_number)
