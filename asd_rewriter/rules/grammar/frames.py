"""A frame: a question read once, as a clause with one slot that any claim may fill."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from asd_rewriter.rules.grammar.clause import Clause


class Slot(StrEnum):
    """What a claim must be to fill the slot."""

    COLOUR = "colour"
    PROPERTY = "property"
    THING = "thing"
    MATERIAL = "material"
    NAME = "name"
    NUMBERED = "numbered"
    QUOTE = "quote"
    COUNT = "count"
    PLACE = "place"
    ACTIVITY = "activity"
    TIME = "time"
    MEASURE = "measure"
    SIDE = "side"
    CHOICE = "choice"
    VERB = "verb"
    LOOKS = "looks"
    MEANING = "meaning"
    MANNER = "manner"
    REASON = "reason"
    OWNER = "owner"
    DIRECTION = "direction"


@dataclass(frozen=True)
class Frame:
    """Where the claim goes. `subject` None: the claim is the subject; "there": it follows it.

    `before` and `after` surround the claim in the rest of the clause. `noun` is what is asked for
    (What noun ...?), `kind` the word if its kind is (What kind of noun ...?). `names`: the claim
    says what the subject is, so both must be one or many alike; `quotes`: a name of it may stand
    there too. `verb` governs the claim, in its base form.
    """

    slot: Slot
    auxiliary: str
    subject: str | None = None
    before: str = ""
    after: str = ""
    noun: str = ""
    kind: str = ""
    names: bool = False
    quotes: bool = False
    verb: str = ""
    choices: tuple[str, ...] = ()

    @property
    def agrees(self) -> bool:
        """Whether the auxiliary goes by the claim's number."""
        return self.subject is None or self.subject == "there"


@dataclass(frozen=True)
class Filled:
    """A claim as it stands in the sentence, and the part of it that is the claim.

    `definite`: it names what is known to be there (the city "Boston").
    """

    text: str
    claim: str
    many: bool = False
    definite: bool = False


_SINGULAR = {"are": "is", "were": "was", "have": "has", "do": "does"}
_PLURAL = {one: many for many, one in _SINGULAR.items()}


def joined(*parts: str) -> str:
    """Return the parts that are not empty, with single spaces between them."""
    return " ".join(part for part in parts if part)


def clause(frame: Frame, filled: Filled) -> Clause:
    """Return the frame's clause about a claim."""
    verb = frame.auxiliary
    if frame.agrees:
        verb = (_PLURAL if filled.many else _SINGULAR).get(verb, verb)
    if frame.subject is None or (frame.subject == "there" and filled.definite):
        rest = joined(frame.before, frame.after)
        return Clause(filled.text, verb, rest, filled.claim)
    rest = joined(frame.before, filled.text, frame.after)
    return Clause(frame.subject, verb, rest, filled.claim)
