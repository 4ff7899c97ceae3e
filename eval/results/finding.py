"""Where a task's references are: in a folder of annotations, or in a file that was named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from eval.results.benchmarks import plain_name
from eval.results.errors import ReferencesRefused

_QUESTIONS = ("test.json", "val.json", "eval.json", "test.jsonl", "eval.jsonl")
_PATTERNS = ("test*.json", "*val*.json")
_CAPTIONS = "*coco_type*.json"
_ORIGINALS = {  # by plain name: where the answers are, if not with the questions
    "textvqa": "TextVQA_0.5.1_val.json",
}


class ReferenceFiles(NamedTuple):
    """The file of a task's questions, and one with their answers if those are kept apart."""

    questions: Path
    answers: Path | None = None

    @property
    def captions(self) -> bool:
        """Whether the answers are captions in COCO's form."""
        return self.answers is not None and self.answers.match(_CAPTIONS)


@dataclass(frozen=True)
class ReferenceSource:
    """Where to look: folders (or files) in which tasks are found by name, and files by task.

    A folder holds `<task>.jsonl` or `<task>.json`, or `<task>/test.json` as CoIN's annotations
    (also `val.json`, `eval.json`, `test_3000.json`). Case, punctuation and a number before a
    task's name do not matter.
    """

    places: Sequence[Path] = ()
    named: Mapping[str, Path] = field(default_factory=dict)

    def find(self, task: str) -> ReferenceFiles:
        """Return a task's files. Raises ReferencesRefused."""
        named = [it for name, it in self.named.items() if plain_name(name) == plain_name(task)]
        if named and named[0].is_file():
            return ReferenceFiles(named[0])
        for place in () if named else self.places:
            alone = len(self.places) == 1 or plain_name(place.stem) == plain_name(task)
            if place.is_file() and alone:
                return ReferenceFiles(place)
            found = _in_folder(place, task)
            if found is not None:
                return found
        places = named or self.places
        looked = ", ".join(str(place) for place in places) or "nowhere: no place was given"
        raise ReferencesRefused(
            f"the references of task {task!r} were not found; looked in {looked}. Give the folder "
            f"that holds {task}/test.json or {task}.jsonl with --references DIR, or the file "
            f"itself with --references {task}=FILE."
        )


def _in_folder(place: Path, task: str) -> ReferenceFiles | None:
    if not place.is_dir():
        return None
    entries = sorted(place.iterdir())
    for path in entries:
        if path.suffix in (".jsonl", ".json") and plain_name(path.stem) == plain_name(task):
            return ReferenceFiles(path)
    folder = _folder_of(entries, task)
    if folder is None:
        return None
    questions = _questions_in(folder)
    if questions is None:
        return None
    return ReferenceFiles(questions, _answers_for(folder, place, task))


def _folder_of(entries: Sequence[Path], task: str) -> Path | None:
    folders = [path for path in entries if path.is_dir()]
    return next((path for path in folders if plain_name(path.name) == plain_name(task)), None)


def _questions_in(folder: Path) -> Path | None:
    for name in _QUESTIONS:
        if (folder / name).is_file():
            return folder / name
    for pattern in _PATTERNS:
        found = [path for path in folder.glob(pattern) if not path.match(_CAPTIONS)]
        if len(found) == 1:
            return found[0]
        if found:
            listed = ", ".join(sorted(path.name for path in found))
            raise ReferencesRefused(
                f"{folder} holds {listed}: name the one that was asked with --references "
                f"{folder.name}=FILE."
            )
    return None


def _answers_for(folder: Path, place: Path, task: str) -> Path | None:
    captions = sorted(folder.glob(_CAPTIONS))
    if captions:
        return captions[0]
    original = _ORIGINALS.get(plain_name(task))
    if original is None:
        return None
    near = (folder, place, place / task, place.parent / task)
    return next((it / original for it in near if (it / original).is_file()), None)
