"""What the model has answered, in one SQLite file: each answer is on disk before the next step."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from asd_rewriter.errors import CacheRefused
from asd_rewriter.llm.budget import Spent

_SCHEMA = """
CREATE TABLE IF NOT EXISTS replies (key BLOB PRIMARY KEY, reply TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS spent (
    run TEXT PRIMARY KEY, calls INTEGER, prompt_tokens INTEGER, completion_tokens INTEGER
);
CREATE TABLE IF NOT EXISTS digests (address TEXT PRIMARY KEY, digest TEXT NOT NULL);
"""
_BUSY_SECONDS = 30.0


@dataclass(frozen=True)
class Reply:
    """The model's texts for one turn, or what was wrong with them (`raw` shows some of it)."""

    texts: tuple[str, ...] = ()
    problem: str | None = None
    raw: str = ""


class Cache:
    """Replies by key. Safe against a kill at any point, and for several processes at a time.

    Raises CacheRefused for a file that cannot be written or is something else.
    """

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = _opened(path)
        except (OSError, sqlite3.Error) as error:
            raise CacheRefused(
                f"{path} cannot keep the model's answers: {error}. Name a new file, or one that "
                "kept them before."
            ) from error

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def get(self, key: bytes) -> Reply | None:
        """Return what is known under a key, or None."""
        row = self._db.execute("SELECT reply FROM replies WHERE key = ?", (key,)).fetchone()
        if row is None:
            return None
        found = json.loads(row[0])
        return Reply(tuple(found["texts"]), found["problem"], found["raw"])

    def put(self, run: str, replies: Sequence[tuple[bytes, Reply]], spent: Spent) -> None:
        """Keep the replies to one call and what the run has spent by now, in one transaction.

        A key that is there already keeps its reply: two runs then agree on the answer.
        """
        rows = [
            (key, json.dumps({"texts": it.texts, "problem": it.problem, "raw": it.raw}))
            for key, it in replies
        ]
        numbers = (run, spent.calls, spent.prompt_tokens, spent.completion_tokens)
        self._db.execute("BEGIN IMMEDIATE")
        with self._db:
            self._db.executemany("INSERT OR IGNORE INTO replies VALUES (?, ?)", rows)
            self._db.execute("INSERT OR REPLACE INTO spent VALUES (?, ?, ?, ?)", numbers)

    def spent(self, run: str) -> tuple[int, int, int]:
        """Return calls, prompt tokens and completion tokens of a run so far."""
        query = "SELECT calls, prompt_tokens, completion_tokens FROM spent WHERE run = ?"
        return tuple(self._db.execute(query, (run,)).fetchone() or (0, 0, 0))

    def digest(self, address: str) -> str | None:
        """Return the digest that the model at an address had when last seen."""
        query = "SELECT digest FROM digests WHERE address = ?"
        row = self._db.execute(query, (address,)).fetchone()
        return None if row is None else str(row[0])

    def put_digest(self, address: str, digest: str) -> None:
        """Remember the digest of the model at an address."""
        self._db.execute("INSERT OR REPLACE INTO digests VALUES (?, ?)", (address, digest))


def _opened(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)
    try:
        found = {name for (name,) in db.execute("SELECT name FROM sqlite_master")}
        if found and not {"replies", "spent", "digests"} <= found:
            raise sqlite3.DatabaseError("it is a database of something else")
        # A crash of the machine may lose the last moments' replies, a killed process loses none.
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=NORMAL")
        db.executescript(_SCHEMA)
    except sqlite3.Error:
        db.close()
        raise
    return db
