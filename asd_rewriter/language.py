"""Whether a question is English: by its script, and by small words of this and other languages."""

from __future__ import annotations

import re
import unicodedata

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


_ENGLISH = _set(
    "the an is are was were be been being am does did has have had can could will would should"
    " what which who whom whose where when why how many much there here this that these those it"
    " its he she they you we his her their your my our of in on at to for from with by and or not"
    " no yes if any some all name describe tell find show please does doing made called under over"
    " behind between near left right into than most least following"
)
_OTHER = _set(
    "de la el los las un una unos que qué quién cuál cuántos cuantos cuántas dónde donde cómo como"
    " está esta estan están hay del por para con su se y es son le les des du au aux et est sont"
    " quel quelle quels quelles combien où que qui quoi dans sur avec pour ce cette ces il elle ils"
    " der das den dem ein eine einen ist sind wie viele welche welcher welches wer wo und mit auf"
    " im zu von nicht farbe hat di il lo gli che cosa quanti quante quale dove sono nella nel della"
    " per con qual o os as um uma quantos quantas onde quem em no na do da dos das tem het een wat"
    " welke hoeveel zijn op met van waar wie naar jest są ile gdzie jaki jaka jakie kto co w na z"
    " vad hur många är det den en ett och på hvad hvor mange er og hvem hvilken apa berapa siapa"
    " mana ada yang ini itu di bu ne kaç nerede kim hangi bir nedir renk"
) - _ENGLISH - _set("a do no")  # fmt: skip
_OPENING = _set("what what's where where's how which who who's whose when why does are")
"""Words that open English questions only."""
_FEW = 4


def is_english(question: str) -> bool:
    """Whether a question is in English, as far as small words and the script tell.

    A few words without any small word, such as a name or `Dog left`, count as English.
    """
    if question.isascii() and question.partition(" ")[0].casefold() in _OPENING:
        return True
    words = [word.casefold() for word in _WORD.findall(question)]
    if not words:
        return True
    letters = [it for word in words for it in word if it.isalpha()]
    if sum(it > "\u024f" for it in letters) * 2 > len(letters):
        return False
    english = sum(word in _ENGLISH for word in words)
    other = sum(word in _OTHER for word in words)
    if english or other:
        return english > other or (english == other and question.isascii() and english > 1)
    return len(words) <= _FEW or (question.isascii() and len(words) <= 2 * _FEW)


def script_of(text: str) -> str:
    """Return the script of a text's first letter (LATIN, ARABIC, CJK ...); LATIN without one."""
    letter = "a" if text.isascii() else next(filter(str.isalpha, text), "a")
    return unicodedata.name(letter, "UNKNOWN").partition(" ")[0]
