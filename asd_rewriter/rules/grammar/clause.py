"""A clause in parts, so that the same one can be asked and stated."""

from __future__ import annotations

import re
from dataclasses import dataclass

from asd_rewriter.rules.grammar.lexicon import conjugated

_ADVERBS = ("best", "also", "usually", "currently", "often", "clearly", "most")
_MY = re.compile(r"\bmy\b")


@dataclass(frozen=True)
class Clause:
    """Subject, auxiliary and the rest: the bus / is / red; the sign / does / say "STOP".

    `claim` is what the clause claims, letter by letter as it stands in it.
    """

    subject: str
    auxiliary: str
    rest: str
    claim: str

    def asked(self) -> str:
        """Return the yes/no question."""
        return f"{self.auxiliary.capitalize()} {self.subject} {self.rest}?"

    def stated(self) -> str | None:
        """Return the statement, or None when its verb form is not known."""
        verb, rest = self.auxiliary, self.rest
        if verb in ("does", "do", "did"):
            base, _, rest = rest.partition(" ")
            adverb = f"{base} " if base in _ADVERBS and rest else ""
            if adverb:
                base, _, rest = rest.partition(" ")
            found = conjugated(base, verb)
            if found is None:
                return None
            verb = f"{adverb}{found}"
        subject = "you" if self.subject == "I" else self.subject
        text = _MY.sub("your", f"{subject} {verb} {rest}".rstrip())
        return f"{text[0].upper()}{text[1:]}."
