"""What a lexicon package knows about single words: part of speech and inflections.

It is loaded on first use: the service starts without it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache
from typing import cast

from asd_rewriter.rules.grammar.articles import takes_an
from asd_rewriter.rules.grammar.words import COUNT, ING_NOUNS, MASS, PLURAL_ONLY

Inflections = dict[str, tuple[str, ...]]
_CACHED = 8192


@cache
def _lemmas_of() -> Callable[[str], Inflections]:
    from lemminflect import getAllLemmas  # type: ignore[import-untyped]

    return cast(Callable[[str], Inflections], getAllLemmas)


@cache
def _inflections_of() -> Callable[[str, str], tuple[str, ...]]:
    from lemminflect import getInflection

    return cast(Callable[[str, str], tuple[str, ...]], getInflection)


@lru_cache(maxsize=_CACHED)
def lemmas(word: str) -> Inflections:
    """Return a lower-case word's lemmas by part of speech (NOUN, VERB, ADJ, ADV); {} if unknown."""
    return _lemmas_of()(word)


def known(word: str) -> bool:
    """Whether a lower-case word is a common word."""
    return word in COUNT or word in MASS or word in PLURAL_ONLY or bool(lemmas(word))


def is_adjective(word: str) -> bool:
    """Whether a word may stand after "The bus is ..." as a property."""
    return "ADJ" in lemmas(word)


def is_gerund(word: str) -> bool:
    """Whether a word is a verb's -ing form, such as holding."""
    return word.endswith("ing") and word not in ING_NOUNS and "VERB" in lemmas(word)


@lru_cache(maxsize=_CACHED)
def is_participle(word: str) -> bool:
    """Whether a word is a verb's past participle, such as shown."""
    verbs = lemmas(word).get("VERB", ())
    return any(word != it and (word in inflected(it, "VBN") or word[-2:] == "ed") for it in verbs)


@lru_cache(maxsize=_CACHED)
def inflected(lemma: str, tag: str) -> tuple[str, ...]:
    """Return a word's forms for a Penn tag (VBZ, VBD, VBN, NNS), the usual one first."""
    return _inflections_of()(lemma, tag)


def is_verb(word: str) -> bool:
    """Whether a word is a verb's base form."""
    return word in lemmas(word).get("VERB", ())


def conjugated(verb: str, auxiliary: str) -> str | None:
    """Return what "does/do/did ... verb" becomes in a statement: says, say, said."""
    if auxiliary == "do":
        return verb
    if verb == "have":
        return "has" if auxiliary == "does" else "had"
    forms = inflected(verb, "VBZ" if auxiliary == "does" else "VBD")
    return forms[0] if forms else None


@lru_cache(maxsize=_CACHED)
def with_article(phrase: str) -> str:
    """Return a phrase with a or an before it, by its sound."""
    return f"an {phrase}" if takes_an(phrase) else f"a {phrase}"


def plural(noun: str) -> str:
    """Return the plural of a noun, or of a phrase that ends in one."""
    before, space, head = noun.rpartition(" ")
    forms = inflected(head, "NNS")
    return f"{before}{space}{forms[0] if forms else head}"


@lru_cache(maxsize=_CACHED)
def singular(noun: str) -> str | None:
    """Return the singular of a plural noun; None when unknown or already singular."""
    if noun == "people":
        return "person"
    others = [it for it in lemmas(noun).get("NOUN", ()) if it != noun]
    return others[0] if others else None
