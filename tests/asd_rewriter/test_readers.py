"""Split files: arrays and JSON lines, with the line of every row and of every error."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asd_rewriter.readers import RawRow, UnreadableRow, read_rows

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
ROWS = st.lists(st.dictionaries(st.text(), JSON, max_size=3), max_size=8)


def read(text: str | bytes, limit: int = 1000) -> list[RawRow | UnreadableRow]:
    data = text.encode() if isinstance(text, str) else text
    return list(read_rows(io.BytesIO(data), limit))


@settings(deadline=None)
@given(ROWS, st.sampled_from([None, 1]), st.booleans())
def test_arrays_and_lines_give_the_rows_back(rows: list[object], indent: int, mark: bool) -> None:
    start = "\ufeff" if mark else ""
    array = read(start + json.dumps(rows, indent=indent), 10**6)
    lines = read(start + "\n".join(json.dumps(row) for row in rows), 10**6)
    assert [it.value for it in array if isinstance(it, RawRow)] == rows
    assert [it.value for it in lines if isinstance(it, RawRow)] == rows


def test_rows_carry_their_first_line() -> None:
    rows = read('\n[\n {"a":\n 1},\n\n {"b": 2}\n]')
    assert [(it.spot.line, it.value) for it in rows if isinstance(it, RawRow)] == [
        (3, {"a": 1}),
        (6, {"b": 2}),
    ]
    rows = read('{"a": 1}\r\n\n{"b": 2}\n')
    assert [it.spot.line for it in rows] == [1, 3]


def test_large_files_are_read_piece_by_piece() -> None:
    rows = [{"id": str(number), "text": "\u00e4" * 300} for number in range(4000)]
    for text in (json.dumps(rows, ensure_ascii=False), "\n".join(map(json.dumps, rows))):
        assert [it.value for it in read(text, 2000) if isinstance(it, RawRow)] == rows


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ('[{"a": 1},\n{"b": }]', 2, "not valid JSON: Expecting value"),
        ('[{"a": 1}\n{"b": 1}]', 2, "expected ',' or ']'"),
        ('[{"a": 1}', 1, "the end of the file"),
        ('[\n{"a": "x', 2, "Unterminated"),
        ('[{"a": "' + "x" * 5000 + '"}]', 1, "longer than 1,000"),
        ("[" + "[" * 200_000, 1, "nested too deeply"),
        ("[" + "1" * 9000 + "]", 1, "number is too long"),
        (b'[{"a": "\xff"}]', 1, "not UTF-8"),
        ('[{"a": 1}]\n[{"a": 2}]', 2, "text follows the array's ']'"),
        ('[{"a": 1}]]', 1, "one array, or JSON lines"),
        ("[]\n\n{}", 3, "text follows"),
    ],
)
def test_a_broken_array_ends_with_a_named_line(text: str, line: int, message: str) -> None:
    last = read(text, 300_000 if "[[" in str(text) or "11" in str(text) else 1000)[-1]
    assert isinstance(last, UnreadableRow)
    assert last.fatal
    assert last.spot.line == line
    assert message in last.message


def test_reading_goes_on_after_a_broken_line() -> None:
    rows = read('{"a": 1}\n{"b": \n{"c": 3}\nnonsense\n')
    assert [type(it) for it in rows] == [RawRow, UnreadableRow, RawRow, UnreadableRow]
    assert [it.spot.line for it in rows] == [1, 2, 3, 4]


@pytest.mark.parametrize("text", ["", " \n ", "[]", "[ ]\n"])
def test_empty_files_have_no_rows(text: str) -> None:
    assert read(text) == []


def test_rows_of_an_array_on_one_line_are_told_apart() -> None:
    rows = list(read_rows(io.BytesIO(b'[{"id": "1"}, {"id": "2"}, oops]'), 1000))

    assert [row.spot for row in rows] == [(1, 1), (1, 2), (1, 3)]
