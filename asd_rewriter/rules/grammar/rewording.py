"""Questions in other shapes, put as plain ones: orders, indirect questions, gaps."""

from __future__ import annotations

import re

from asd_rewriter.rules.grammar.lexicon import is_gerund, singular
from asd_rewriter.rules.grammar.tokens import is_state
from asd_rewriter.rules.grammar.words import AUXILIARIES, PREPOSITIONS

_GREETING = re.compile(r"\A(?:(?:hi|hello|hey|okay|ok|so|please|um|and|also)(?:,| )\s*)+", re.I)
_THANKS = re.compile(r"(?:[\s,.?!]*\b(?:please|thank you(?: very much)?|thanks))+[\s.!?]*\Z", re.I)
_ABOUT = re.compile(r"\A(?:about|roughly|approximately|around|exactly) (?=how|what|when)", re.I)
_LIKELY = re.compile(r" (?:most likely|likely|probably)(?= )", re.I)
_TELL_ME = re.compile(
    r"(?:.{0,30}\b)?(?:(?:can|could|would) you (?:please )?(?:tell|show) me|tell me|do you know"
    r"|i(?:'d| would) like to know|i (?:want|need) to know|find out) "
    r"(what|where|who|which)(?: ([\w ]+?))?? "
    r"(this|that|it|these|those|(?:this|that|these|the|my) [\w' ]+?) (is|are)",
    re.I,
)
_SAYS = re.compile(r"(?:.* )?tell me what (.+) (says|reads)", re.I)
_SHORT_IS = re.compile(r"\b(what|who|where)(?:'|’)s\b|\A(what)s\b", re.I)
_NAME = re.compile(
    r"(?:name|identify|state|give|tell me|describe(?= the colou?r)) "
    r"((?:the|this|that|these|those) .+|it|this|that)",
    re.I,
)
_COUNT = re.compile(r"count (?:all )?(?:of )?the (.+)", re.I)
_WEATHER = re.compile(r"describe the weather(?: in (?:one|a single) word)?", re.I)
_NUMBER_OF = re.compile(r"\Awhat (?:number|amount|quantity) of (\w+)(?= \w)", re.I)
_CALLED = re.compile(
    r"what (?:do|would|does) (?:you|we|they|one) call ((?:the|this|that|these) .+)", re.I
)
_COLOUR_LAST = re.compile(r"(.+) (is|are) (?:what|which) (colou?r)", re.I)
_DOING_WHAT = re.compile(r"(.+?) (is|are) (\w+ing) what", re.I)
_SAYING_WHAT = re.compile(r"(.+) (says|reads) what", re.I)
_GAP = re.compile(
    r"(.+?) (is|are|was|were) ([\w ]+ )?(to|from|on|in|of|by|with|at|under|near|behind)"
    r" (what|which)(?: ([\w ]+))?",
    re.I,
)
_OPEN_END = re.compile(r"((?:the|this|that|these|those) .+) (is|are)(?: an?| called)?", re.I)
_CLASSED = re.compile(
    r"(.+?) (is|are) ((?:best )?(?:classified|described|known) as)(?: an?)?", re.I
)
_RELATIVE = re.compile(r"(?<=\w) (?:that|which|who) (?:is|are) (\w+)(?= \w)")
_ASKING = re.compile(
    r"(?:what|what's|whats|which|who|whose|where|when|why|how|name|identify|state|count|describe|tell|give)\b",
    re.I,
)
_SEEN = r"(?:according to|based on|judging by|in|on|at) (?:the|this|that|its|these)"
_BEFORE = re.compile(rf"\A({_SEEN} [\w' ]{{1,40}}), (?=\w)", re.I)
_AFTER = re.compile(
    r",? ((?:according to|based on|judging by) (?:the|this|its|their) [\w' ]+)\Z", re.I
)


def reworded(question: str) -> tuple[str, str] | None:
    """Return a plain question without its question mark, and where it is asked about.

    The latter ("according to the sign") may follow any clause about it; it is often empty. None
    for what is no question.
    """
    text = _GREETING.sub("", question.strip(), count=1) if question[:1].isalpha() else question
    text = _THANKS.sub("", text.strip()).rstrip()
    asks = text.endswith("?") or text != question.strip() or _ASKING.match(text)
    asks = asks or _TELL_ME.match(text)
    text = text.rstrip(" ?.!")
    if "?" in text or not text:
        return None
    text, place = _located(_ABOUT.sub("", _LIKELY.sub("", text)))
    if not asks:
        return (closed, place) if (closed := _opened(text)) else None
    text = _SHORT_IS.sub(lambda found: f"{found[1] or found[2]} is", text)
    text = _NUMBER_OF.sub(_how_many, text)
    text = _CALLED.sub(_call, text)
    text = _direct(text) or _ordered(text) or _gapped(text) or text
    return _RELATIVE.sub(_reduced, text), place


def _located(text: str) -> tuple[str, str]:
    if found := _BEFORE.match(text):
        return text[found.end() :], found[1][0].lower() + found[1][1:]
    if found := _AFTER.search(text):
        return text[: found.start()], found[1]
    return text, ""


def _call(found: re.Match[str]) -> str:
    return f"what {_be(found[1])} {found[1]} called"


def _how_many(found: re.Match[str]) -> str:
    return f"how many {found[1]}" if singular(found[1].lower()) else found[0]


def _direct(text: str) -> str | None:
    """Ask an indirect question directly."""
    if found := _TELL_ME.fullmatch(text):
        word, noun, subject, verb = found.groups()
        return " ".join(it for it in (word, noun, verb, subject) if it)
    if found := _SAYS.fullmatch(text):
        return f"what does {found[1]} {found[2].lower().rstrip('s')}"
    return None


def _ordered(text: str) -> str | None:
    """Ask what an order asks for: Name the animal, Count the dogs."""
    if found := _NAME.fullmatch(text):
        return f"what {_be(found[1])} {found[1]}"
    if found := _COUNT.fullmatch(text):
        words = found[1].split()
        at = next((at for at, it in enumerate(words) if it in PREPOSITIONS - {"of"}), len(words))
        return f"how many {' '.join(words[:at])} are {' '.join(words[at:]) or 'there'}"
    return "what is the weather like" if _WEATHER.fullmatch(text) else None


def _be(named: str) -> str:
    words = named.lower().split()
    end = next((at for at, it in enumerate(words) if it in PREPOSITIONS), len(words))
    many = words[0] in ("these", "those") or (end > 1 and singular(words[end - 1]) is not None)
    return "are" if many else "is"


def _gapped(text: str) -> str | None:
    """Put the asking word first: The bag is hanging from what?"""
    if _ASKING.match(text) or text.partition(" ")[0].lower() in AUXILIARIES:
        return None
    text = text[0].lower() + text[1:]
    if found := _COLOUR_LAST.fullmatch(text):
        return f"what {found[3]} {found[2]} {found[1]}"
    if found := _DOING_WHAT.fullmatch(text):
        return f"what {found[2]} {found[1]} {found[3]}"
    if found := _SAYING_WHAT.fullmatch(text):
        return f"what does {found[1]} {found[2].lower().rstrip('s')}"
    if found := _GAP.fullmatch(text):
        subject, verb, doing, preposition, word, noun = found.groups()
        rest = f"{subject} {doing or ''}{preposition}"
        return " ".join(it for it in (word, noun, verb, rest) if it)
    return None


def _opened(text: str) -> str | None:
    """Ask for what a statement leaves open: The vehicle on the left is a"""
    if text.partition(" ")[0].lower() in AUXILIARIES:
        return text if " or " in text else None
    text = text[0].lower() + text[1:]
    if found := _CLASSED.fullmatch(text):
        return f"what {found[2]} {found[1]} {found[3]}"
    if found := _OPEN_END.fullmatch(text):
        return _RELATIVE.sub(_reduced, f"what {found[2]} {found[1]}")
    return None


def _reduced(found: re.Match[str]) -> str:
    """Shorten the dog that is on the bed to the dog on the bed."""
    word = found[1].lower()
    plain = word in PREPOSITIONS or is_gerund(word) or is_state(word)
    return f" {found[1]}" if plain else found[0]
