"""A or an: by the sound that a phrase begins with."""

from __future__ import annotations

import re

_FIRST = re.compile(r"\w+")
_VOWEL_NAMES = "AEFHILMNORSX"
"""Letters whose own names begin with a vowel: an X, an FBI agent."""
_SAYABLE = re.compile(r"[AEIO]|U\w{3}|(?:[HLMNR]|F[LR]?|S[CHKLMNPQTVW]?[LR]?)[AEIOUY]")
"""Capitals that are said as a word: a STOP sign, a NASA picture, but an STD, a USB stick."""
_SILENT_H = ("hour", "heir", "honest", "honor", "honour")
_AS_YOU_OR_WON = re.compile(
    r"eu(?!ler)|ewe|ewing|one(?:s|self|ness|time)?\b|once|ouija|uk|ubi|ufo|uganda"
    r"|unanim|uni(?![nm]|d(?!i))|us[aeiu]|u[rt][aeiou]|uv[aeu]"
)
"""A European, a one-way street, a unit, a user."""
_EIGHT_OR_ELEVEN = re.compile(r"8\d*|1[18](?:\d{3})*")


def takes_an(phrase: str) -> bool:
    """Whether a phrase is spoken with an before it."""
    found = _FIRST.search(phrase)
    word = found[0] if found else ""
    if word.isdecimal():
        return _EIGHT_OR_ELEVEN.fullmatch(word) is not None
    if len(word) == 1 or (word.isupper() and not _SAYABLE.match(word)):
        return word[0].upper() in _VOWEL_NAMES
    word = word.casefold()
    if word.startswith(_SILENT_H):
        return True
    return word[:1] in tuple("aeiou") and _AS_YOU_OR_WON.match(word) is None
