"""Reading answers and option lists: what is found, and in time linear in hostile texts."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from asd_rewriter.answers import Options, parse_box, parse_letter, parse_options
from tests.asd_rewriter.scaling import growth


@pytest.mark.parametrize(
    ("text", "stem", "options"),
    [
        ("Which?\nA. red \nB.\tblue sky\t", "Which?", ("red", "blue sky")),
        ("Which?\n(A) red\n (B) blue\r\nNow.", "Which?\nNow.", ("red", "blue")),
        ("Which? (A) red (B)  blue", "Which?", ("red", "blue")),
        ("Which? (A)\nred\n(B) blue \nNow.", "Which?\nNow.", ("red", "blue")),
        ("(A) (B) x", "", ("", "x")),
    ],
)
def test_option_lists(text: str, stem: str, options: tuple[str, ...]) -> None:
    assert parse_options(text) == Options(stem, options)


@pytest.mark.parametrize("text", ["", "A. red", "(A) x", "A. x\nC. y", "B. x\nC. y", "A.x\nB.y"])
def test_no_option_list(text: str) -> None:
    assert parse_options(text) is None


@pytest.mark.parametrize(
    ("text", "box"),
    [
        (" [0.1, 0.2,.3 , 1.] ", (0.1, 0.2, 0.3, 1.0)),
        ("0,0,+1,-1", (0, 0, 1, -1)),
        ("[ 0,0,1,1 ]", (0, 0, 1, 1)),
        ("0,0,1", None),
        ("[0,0,1,1] x", None),
        ("[0,0,1,1e2]", None),
    ],
)
def test_boxes(text: str, box: tuple[float, ...] | None) -> None:
    assert parse_box(text) == box


HOSTILE: dict[str, tuple[Callable[[str], object], Callable[[int], str]]] = {
    "option line": (parse_options, lambda n: "A. x" + " " * n + "y"),
    "option lines": (parse_options, lambda n: "A. x \t" * (n // 6)),
    "inline": (parse_options, lambda n: "(A) x" + " " * n + "y"),
    "inline markers": (parse_options, lambda n: "(A) " * (n // 4)),
    "inline line ends": (parse_options, lambda n: "(A)" + "\r" * n + "y"),
    "box digits": (parse_box, lambda n: "1" * n),
    "box end": (parse_box, lambda n: "0,0,0,1" + " " * n + "x"),
    "box start": (parse_box, lambda n: "[" + " " * n + "x"),
    "letter": (parse_letter, lambda n: "(B" + " " * n + "x"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_time_is_linear_in_hostile_texts(case: str) -> None:
    assert growth(*HOSTILE[case]) < 8
