"""A synthetic set shaped like CoIN's question tasks: LLaVA rows in one JSON array."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any


def _words(text: str) -> list[str]:
    return text.split()


_COLOURS = _words("""red blue green white black brown grey yellow pink purple orange beige""")
_THINGS = _words("""
bus dog cat man woman boy girl car truck train boat bird horse cow sheep bench chair table lamp sign
clock bottle cup plate bag hat shirt jacket shoe umbrella kite ball bat phone book window door tree
flower fence wall roof road bridge tower""")
_DOING = _words("""holding wearing riding watching carrying eating throwing touching pushing""")
_PLACES = _words("""street beach field kitchen park airport station office market garden""")
_SYLLABLES = _words("""ba ce di fo gu ha ke li mo nu pa re si to vu wa xe zi""")
SHORT = "Answer the question using a single word or phrase."


def rows(number: int, distinct: bool, seed: int = 0) -> Iterator[dict[str, Any]]:
    """Yield rows; `distinct`: every answer is another one, as titles of books are."""
    rng = Random(seed)
    for index in range(number):
        question, answer = _title(rng, index) if distinct else _asked(rng)
        yield {
            "id": str(index),
            "image": f"COCO2014/train/{rng.randrange(10**6):012d}.jpg",
            "conversations": [
                {"from": "human", "value": f"<image>\n{question}\n{SHORT}"},
                {"from": "gpt", "value": answer},
            ],
        }


def write(path: Path, number: int, distinct: bool) -> None:
    """Write the rows as one JSON array on one line, as CoIN's files are."""
    with path.open("w", encoding="utf-8") as file:
        for index, row in enumerate(rows(number, distinct)):
            file.write((", " if index else "[") + json.dumps(row))
        file.write("]")


def _title(rng: Random, index: int) -> tuple[str, str]:
    words = ["".join(rng.choices(_SYLLABLES, k=rng.randint(1, 3))).title() for _ in range(3)]
    return "What is the title of this book?", f"{' '.join(words)} {index}"


def _asked(rng: Random) -> tuple[str, str]:
    one, two = rng.choice(_THINGS), rng.choice(_THINGS)
    colour, place, doing = rng.choice(_COLOURS), rng.choice(_PLACES), rng.choice(_DOING)
    name = "".join(rng.choices(_SYLLABLES, k=3))
    return rng.choice(
        (
            (f"What color is the {one}?", colour),
            (f"How many {one}s are in the picture?", str(rng.randint(1, 12))),
            (f"What is the {one} {doing}?", f"{colour} {two}"),
            (f"What is on the {one}?", two),
            (f"Where is the {one}?", place),
            (f"Is the {one} {colour}?", rng.choice(("yes", "no"))),
            (f"What does the {one} say?", name.upper()),
            (f"What is the name of the {place}?", name),
            (f"What kind of animal is near the {one}?", two),
            (f"On which side of the photo is the {one}?", rng.choice(("left", "right"))),
        )
    )
