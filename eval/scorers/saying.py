"""Whether a sentence says an answer: the lenient reading of short answers.

"The shape is red." says *red*; "not red", "red or blue", "dark red", "red, blue" do not. The rule
would rather miss an answer than accept a wrong one:

- the answer stands as whole words, and each time between words of a list, words of the question,
  or the edges of its clause ("a red car" counts where the question speaks of a car);
- no denying, doubting or contrasting word stands in the text, unless the answer has it itself;
- the text asks nothing, and its other clauses are fillers or explanations ("because ..."); where
  the rivals (other answers of the task) are known, further clauses are free, but none may name one;
- next to a number there is no other number;
- *yes* and *no* must come first, and the other of the two nowhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from eval.scorers.words import Words, is_number, phrases, places, words_of

Phrase = tuple[str, ...]


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_DENYING = _set(
    "not no never none neither nor without cannot except but unlike instead rather than far "
    "hardly barely false wrong incorrect however although though actually unless either or if "
    "whether could might may maybe perhaps possibly unsure unclear unknown"
)
_BEFORE = _set(
    "a an the is are was were be it it's its that that's this these those they answer option "
    "color colour word number says shows reads means called named labeled labelled of in at on "
    "to as i see there there's tastes looks seems appears very"
)
_AFTER = _set(
    "because since as in on at is are it it's here there color colour due which that for according"
)
_EXPLAINING = _set("because since as due")
_INTRODUCING = _set("based according looking given from in")
_AFTER_NO = _set(
    "it it's its there there's this that the they he she i we you a an these those not is isn't"
)
_FILLERS = _set("yes sure okay ok well so hmm answer the is it it's final correct")
POLARITY = {"yes": "no", "no": "yes"}
"""Each of yes and no, and the other one."""


def denies(words: Iterable[str], phrase: Phrase) -> bool:
    """Whether a denying, doubting or contrasting word is among the words, beyond the phrase's."""
    return any((word in _DENYING or word.endswith("n't")) and word not in phrase for word in words)


def states_polarity(said: Words, wanted: str) -> bool:
    """Whether a text starts with the wanted one of yes and no, and does not take it back."""
    words = said.words
    if not words or words[0] != wanted or POLARITY[wanted] in words:
        return False
    if wanted == "no" and said.clauses[:2] == (0, 0) and words[1] not in _AFTER_NO:
        return False  # "no idea"
    return words[1:2] not in (("or",), ("and",)) and not {"but", "however", "actually"} & set(words)


class Sayings:
    """The answers that a text may say, prepared once per item.

    Args:
        answers: accepted answers.
        question: its words may stand beside an answer.
        rivals: other answers of the task, which no text may name beside a right one.
    """

    def __init__(
        self, answers: Iterable[str], question: str = "", rivals: Iterable[str] = ()
    ) -> None:
        self._answers = phrases(answers)
        asked = frozenset(words_of(question).words)
        asked = frozenset() if "or" in asked else asked - _DENYING  # it may name the alternatives
        self._before, self._after = _BEFORE | asked, _AFTER | asked
        self._rivals = [words for words in phrases(rivals) if words not in self._answers]

    def says(self, text: str) -> bool:
        """Whether a text says one of the accepted answers."""
        said = words_of(text)
        if "?" in text:
            return said.words in self._answers
        return any(self._says(said, phrase) for phrase in self._answers)

    def _says(self, said: Words, phrase: Phrase) -> bool:
        if said.words == phrase:
            return True
        if len(phrase) == 1 and phrase[0] in POLARITY:
            return states_polarity(said, phrase[0])
        found = list(places(said.words, phrase))
        return (
            bool(found)
            and not denies(said.words, phrase)
            and all(self._stands_alone(said, phrase, at) for at in found)
            and not other_number(said.words, phrase)
            and self._rest_is_harmless(said, phrase, found)
        )

    def _stands_alone(self, said: Words, phrase: Phrase, at: int) -> bool:
        end = at + len(phrase)
        if said.clauses[at] != said.clauses[end - 1]:
            return True
        before = at > 0 and said.clauses[at - 1] == said.clauses[at]
        after = end < len(said.words) and said.clauses[end] == said.clauses[end - 1]
        return (
            not before or said.words[at - 1] in self._before or said.words[at - 1] in phrase
        ) and (not after or said.words[end] in self._after or said.words[end] in phrase)

    def _rest_is_harmless(self, said: Words, phrase: Phrase, found: Sequence[int]) -> bool:
        if self._rivals:
            return not self.names_rival(said.words, phrase)
        own = {said.clauses[at + step] for at in found for step in range(len(phrase))}
        first = min(own)
        return all(
            is_harmless(words) or (clause < first and words[0] in _INTRODUCING)
            for clause, words in other_clauses(said, own).items()
        )

    def names_rival(self, words: Phrase, phrase: Phrase = ()) -> bool:
        """Whether the words name a rival elsewhere than inside the answer `phrase` itself."""
        present, times = frozenset(words), _count(words, phrase)
        return any(
            _count(words, rival) > times * _count(phrase, rival)
            for rival in self._rivals
            if rival[0] in present
        )


def _count(words: Phrase, phrase: Phrase) -> int:
    return sum(1 for _ in places(words, phrase)) if phrase else 0


def other_number(words: Iterable[str], phrase: Phrase) -> bool:
    """Whether a numeric answer stands beside another number."""
    return any(map(is_number, phrase)) and any(
        is_number(word) and word not in phrase for word in words
    )


def is_harmless(clause: Sequence[str]) -> bool:
    """Whether a clause's words are fillers only, or start an explanation."""
    return clause[0] in _EXPLAINING or _FILLERS.issuperset(clause)


def other_clauses(said: Words, own: set[int]) -> dict[int, list[str]]:
    """Return the words of each clause that is not one of `own`, by its number."""
    rest: dict[int, list[str]] = {}
    for word, clause in zip(said.words, said.clauses, strict=True):
        if clause not in own:
            rest.setdefault(clause, []).append(word)
    return rest
