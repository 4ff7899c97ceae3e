"""Progress as `events.jsonl`: one JSON object a line, appended and flushed."""

from __future__ import annotations

import contextlib
import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

EventKind = Literal["start", "step", "log", "warning", "checkpoint", "end"]

EVENTS_FILE = "events.jsonl"
MIN_INTERVAL_SECONDS = 0.5
"""Step events closer together than this are left out, the last step excepted."""


class EventLog:
    """Writes events of one attempt; a resumed attempt appends to the same file.

    Every event has `at` (UTC, ISO 8601) and `kind`. `step` events carry `step`, `total_steps`,
    `loss` (task loss of this step, nats per answer token), `penalty` (the method's weighted
    penalty, or null), `learning_rate` and `tokens_per_second` (prompt, answer and padding tokens
    of all ranks). `log` and `warning` events carry `message`.
    """

    def __init__(self, folder: Path, *, enabled: bool = True) -> None:
        """Append to `folder/events.jsonl`; with `enabled` false (ranks above 0) write nothing."""
        self._path = folder / EVENTS_FILE
        self._file = self._path.open("a", encoding="utf-8") if enabled else None
        self._last_step_at = 0.0

    def write(self, kind: EventKind, **fields: float | int | str | None) -> None:
        """Append one event now."""
        if self._file is None:
            return
        record = {"at": datetime.now(UTC).isoformat(timespec="milliseconds"), "kind": kind}
        self._file.write(json.dumps({**record, **fields}) + "\n")
        self._file.flush()

    def log(self, message: str) -> None:
        """Append a line for people."""
        self.write("log", message=message)

    def warn(self, message: str) -> None:
        """Append something that people should not overlook."""
        self.write("warning", message=message)

    def step(self, *, step: int, total_steps: int, **fields: float | None) -> None:
        """Append a step event, unless the last one was less than half a second ago."""
        now = time.monotonic()
        if step < total_steps and now - self._last_step_at < MIN_INTERVAL_SECONDS:
            return
        self._last_step_at = now
        self.write("step", step=step, total_steps=total_steps, **fields)

    def last_losses(self) -> tuple[float | None, float | None]:
        """Return loss and penalty of the newest step event, None and None without one.

        A run that is resumed after its last step knows them from here alone.
        """
        last: dict[str, Any] = {}
        if self._file is None:
            return None, None
        for line in self._path.read_text(encoding="utf-8").splitlines():
            with contextlib.suppress(ValueError):  # a crash may have torn a line
                event = json.loads(line)
                last = event if event["kind"] == "step" else last
        return last.get("loss"), last.get("penalty")

    def close(self) -> None:
        """Close the file; later writes are errors."""
        if self._file is not None:
            self._file.close()
