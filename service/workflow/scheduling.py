"""Who runs next, and why the others wait: a pure function of the jobs that have not ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """A job that has not ended. `started`: it has fixed its parent version and holds its stream."""

    id: str
    stream: str
    state: str
    started: bool


@dataclass(frozen=True)
class Decision:
    """Jobs to start now, and the reason for waiting of each queued job that is not."""

    start: tuple[str, ...]
    reasons: dict[str, str]


def schedule(entries: Sequence[Entry], slots: int) -> Decision:
    """Decide over jobs in queue order: FIFO, at most `slots` at work, one per stream.

    A job that has started holds its stream until it ends, even while it is paused: whoever ran
    in between would be lost when it is promoted. On one stream nobody overtakes a job that is
    still being validated; a job paused before it started may be overtaken.
    """
    at_work = [entry for entry in entries if _works(entry)]
    first: dict[str, Entry] = {}
    for entry in sorted(entries, key=lambda entry: not entry.started):
        if entry.started or entry.state in ("validating_files", "queued"):
            first.setdefault(entry.stream, entry)
    start: list[str] = []
    reasons: dict[str, str] = {}
    for entry in entries:
        if entry.state != "queued":
            continue
        if first[entry.stream] != entry:
            reasons[entry.id] = _behind(first[entry.stream])
        elif len(at_work) >= slots:
            reasons[entry.id] = _no_slot(at_work[0], slots)
        else:
            start.append(entry.id)
            at_work.append(entry)
    return Decision(tuple(start), reasons)


def may_be_validated(entries: Sequence[Entry]) -> tuple[str, ...]:
    """Return the jobs whose data may be validated now: the first of each stream.

    Its evaluation rows must be known before a later task's training rows are checked for them.
    """
    first: dict[str, str] = {}
    for entry in entries:
        if entry.state == "validating_files":
            first.setdefault(entry.stream, entry.id)
    return tuple(first.values())


def _works(entry: Entry) -> bool:
    return entry.state == "running" or (entry.state == "cancelling" and entry.started)


def _behind(other: Entry) -> str:
    why = {
        "paused": "which is paused: resume or cancel it",
        "validating_files": "which came first and is still being validated",
        "queued": "which comes first",
    }.get(other.state, "a stream runs one job at a time")
    return f"waiting for {other.id} of stream {other.stream!r}: {why}"


def _no_slot(other: Entry, slots: int) -> str:
    noun = "trainer slot" if slots == 1 else "trainer slots"
    return f"waiting for {other.id} of stream {other.stream!r}: {slots} {noun}"
