"""Questions after the subject: Who wrote it?, What holds it?, Which country has the tallest bar?"""

from __future__ import annotations

from asd_rewriter.rules.grammar.frames import Frame, Slot, joined
from asd_rewriter.rules.grammar.lexicon import inflected, is_gerund, known, lemmas
from asd_rewriter.rules.grammar.nouns import noun_number
from asd_rewriter.rules.grammar.tokens import Words, is_state
from asd_rewriter.rules.grammar.words import (
    AUXILIARIES,
    DETERMINERS,
    KINDS,
    PREPOSITIONS,
    PRONOUNS,
    word_set,
)

_ADVERBS = word_set("best also usually currently often clearly most")
_NOT_ACTING = word_set("happen match mean look")
_LONGEST_NOUN = 3


def read_doer(words: Words, who: bool = False) -> Frame | None:
    """Return the frame of "(What) company made it?", from the words after "What", or "Who"."""
    found = _verb(words, 0 if who else _LONGEST_NOUN)
    if found is None:
        return None
    at, auxiliary, base = found
    rest = words[at + 1 :]
    noun = [word.lower() for word in words[:at]]
    adverb = noun.pop() if noun and noun[-1] in _ADVERBS else ""
    if not _is_object(rest) or not all(known(word) for word in noun):
        return None
    if not who and not noun and auxiliary != "does":
        return None
    after = joined(*rest)
    named = "who" if who else " ".join(noun)
    if noun[:1] and noun[0] in KINDS and noun[1:2] == ["of"] and noun[2:]:
        kind, named = noun[0], " ".join(noun[2:])
        return Frame(Slot.THING, auxiliary, None, joined(adverb, base), after, named, kind)
    return Frame(Slot.THING, auxiliary, None, joined(adverb, base), after, named, quotes=True)


def _verb(words: Words, most: int) -> tuple[int, str, str] | None:
    """Return where the verb is, the auxiliary that asks about it, and its base form."""
    small = [word.lower() for word in words]
    for at in range(min(most + 2, len(small) - 1)):
        word = small[at]
        if at and small[at - 1] in DETERMINERS | PREPOSITIONS:
            if small[at - 1] != "of":
                return None
            continue
        for verb in lemmas(word).get("VERB", ()):
            if verb == word or verb in _NOT_ACTING:
                continue
            follows = _may_follow(small[at + 1]) or (at and words[at + 1][0].isupper())
            if word in inflected(verb, "VBZ") and follows:
                return at, "does", verb
            if word in inflected(verb, "VBD") and len(lemmas(word)["VERB"]) == 1:
                return at, "did", verb
    return None


def _may_follow(word: str) -> bool:
    return word in DETERMINERS | PREPOSITIONS | PRONOUNS | {"more", "most"} and word != "of"


def _is_object(rest: Words) -> bool:
    small = [word.lower() for word in rest]
    joins = {"if", "and", "or", "what", "that", "which", "who", "because", "when", *AUXILIARIES}
    fits = not joins & set(small) and small[-1] not in PREPOSITIONS | DETERMINERS - {"this", "that"}
    return fits and not (is_gerund(small[0]) or small[0] in AUXILIARIES)


def read_having(noun: Words, verb: str, rest: Words, who: bool = False) -> Frame | None:
    """Return the frame of "Which country has the tallest bar?", "Who has signed the letter?"."""
    small = [word.lower() for word in rest]
    named = noun and noun[0] in ("of", "one")
    if named or small[-1] in PREPOSITIONS or not all(known(word) for word in noun):
        return None
    asked = "who" if who else " ".join(noun)
    if is_state(small[0]) or small[0] == "been":
        return Frame(Slot.THING, verb, None, after=joined(*rest), noun=asked, quotes=True)
    if "got" in small or (is_state(small[-1]) and small[0] in DETERMINERS):
        return None  # What has the boy dropped?, What has he got on his feet?
    named_thing = _may_follow(small[0]) or noun_number(small[-1]) is not None
    if not named_thing or not _is_object(rest):
        return None
    asks = {"has": "does", "have": "do", "had": "did"}[verb]
    return Frame(Slot.THING, asks, None, "have", joined(*rest), asked, quotes=True)
