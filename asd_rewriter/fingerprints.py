"""Fingerprints of question and answer on an image: how a leaked evaluation row is recognised."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

from asd_rewriter.samples import Sample


def fingerprints(sample: Sample) -> list[str]:
    """Return one fingerprint (32 hex digits) per turn, of images, question and answer.

    Case and runs of white space do not count; the images' bytes and order do.
    """
    images = "\n".join(sample.images)
    return [_fingerprint(images, turn.question, turn.answer) for turn in sample.turns]


def reserve(samples: Iterable[Sample], task_name: str) -> dict[str, str]:
    """Return the fingerprints of a task's evaluation rows, each mapped to the task's name."""
    return {print_: task_name for sample in samples for print_ in fingerprints(sample)}


def _fingerprint(images: str, question: str, answer: str) -> str:
    text = "\0".join((images, _plain(question), _plain(answer)))
    return sha256(text.encode("utf-8")).hexdigest()[:32]


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())
