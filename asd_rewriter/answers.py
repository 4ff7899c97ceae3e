"""Reading answers and option lists: letters, boxes, yes, no, words; when two answers are equal."""

from __future__ import annotations

import re
from functools import lru_cache

from asd_rewriter.formats import Options as Options
from asd_rewriter.formats import has_option_marks as has_option_marks
from asd_rewriter.formats import parse_options as parse_options

Box = tuple[float, float, float, float]

# Time must stay linear in the text, which anyone may send: nothing here can match one stretch of
# characters in two ways. Spaces around options are stripped afterwards.
_NUMBER = r"\s*([+-]?(?:\d+(?:\.\d*)?|\.\d+))\s*"
_BOX = re.compile(rf"\[?{_NUMBER},{_NUMBER},{_NUMBER},{_NUMBER}\]?")
_LETTER = re.compile(r"\s*\(?([A-Ha-h])[.)]?\s*")
# A sign of Chinese, Japanese or Korean script counts as a word, since no spaces divide them.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W_]+(?:['’-][^\W_]+)*")
_ARTICLE = re.compile(r"\A(?:an?|the)\s+")
_EDGES = " \t\r\n.,;:!?\"'`()[]{}"
_NUMBERS = "zero one two three four five six seven eight nine ten eleven twelve"
_DIGITS = {word: str(number) for number, word in enumerate(_NUMBERS.split(" "))}
NUMBER_WORDS = {digits: word for word, digits in _DIGITS.items()}
"""The words for "0" to "12"."""


def parse_letter(answer: str) -> str | None:
    """Return the option letter of an answer such as `B`, `b.` or `(B)`, or None."""
    found = _LETTER.fullmatch(answer)
    return found[1].upper() if found else None


def parse_box(text: str) -> Box | None:
    """Return the four numbers of `[x1, y1, x2, y2]` (brackets optional), or None."""
    found = _BOX.fullmatch(text.strip())
    if not found:
        return None
    x1, y1, x2, y2 = (float(number) for number in found.groups())
    return x1, y1, x2, y2


def box_problem(box: Box) -> str | None:
    """Return what is wrong with a box: outside 0..1, or without area; None if nothing is."""
    if not all(0.0 <= number <= 1.0 for number in box):
        return "has a coordinate outside 0..1"
    if box[2] <= box[0] or box[3] <= box[1]:
        return "has no area (x2 must exceed x1, and y2 must exceed y1)"
    return None


def iou(one: Box, two: Box) -> float:
    """Intersection over union of two boxes: 0..1."""
    width = min(one[2], two[2]) - max(one[0], two[0])
    height = min(one[3], two[3]) - max(one[1], two[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / (_area(one) + _area(two) - shared)


def is_yes_no(answer: str) -> bool:
    """Whether an answer is yes or no, whatever its case and closing full stop."""
    return answer.strip(_EDGES).casefold() in ("yes", "no")


def count_words(text: str) -> int:
    """Return the number of words, whatever the script."""
    return len(_WORD.findall(text))


@lru_cache(maxsize=2**16)
def normalise(answer: str) -> str:
    """Return what two answers are compared by.

    Case, outer punctuation, a leading article, runs of white space and number words up to twelve
    do not count: `The Dogs.` and `dogs` are equal, `two` and `2` are. An answer that would vanish
    (such as `?` or `The`) stays as it is.
    """
    plain = " ".join(answer.casefold().split())
    bare = _ARTICLE.sub("", plain.strip(_EDGES)).strip(_EDGES) or plain
    return _DIGITS.get(bare, bare)


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])
