"""A process that answers questions over a pipe: started when needed, ended with all its children.

The protocol is JSON, one object per line. To the worker: `{"max_tokens": 64, "questions": [{"id",
"text", "images"}]}`. From it: `{"id", "text"}` per question, or a last
`{"error": {"reason", "message"}}`. What it writes to stderr is kept in a log.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from eval.errors import EngineError, EngineGone, EngineRefused, WorkerFailed, WorkerOutOfMemory

_STATED: dict[str, tuple[type[EngineError], str]] = {
    "invalid_input": (EngineRefused, "The same would be refused again; correct what it names."),
    "out_of_memory": (WorkerOutOfMemory, "Free memory (an engine may hold it), then retry."),
}
_CRASHED = (WorkerFailed, "Its log says more; correct the cause, then retry.")
_END_SECONDS = 0.5
_TAIL_BYTES = 2000
_TAIL_LINES = 5
_END = ""


class Worker:
    """A worker process for one request at a time; between requests it stays, its model loaded.

    Usable as a context manager that ends the process.

    Args:
        command: starts a worker that speaks this module's protocol.
        log: file that its stderr is appended to.
        environment: of the process; default: this one's.
    """

    def __init__(
        self, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self._command = list(command)
        self._log = log
        self._environment = environment
        self._process: subprocess.Popen[str] | None = None
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def send(self, request: Mapping[str, Any]) -> None:
        """Send a request, to a new process if none runs. Never waits.

        Raises:
            WorkerFailed: if no process can be started.
        """
        if self._process is None or self._process.poll() is not None:
            self._start()
        assert self._process is not None
        assert self._process.stdin is not None
        line = json.dumps(request) + "\n"
        _in_background(_feed, self._process.stdin, line)

    def receive(self, seconds: float) -> dict[str, Any] | None:
        """Return the next answer, or None when none comes in `seconds`.

        Raises:
            EngineGone: if the worker was killed from outside, or stopped answering for good.
            EngineRefused: if it cannot use what it was given.
            WorkerOutOfMemory: if memory did not suffice.
            WorkerFailed: if it ended in any other way, or answers in another language.
        """
        try:
            line = self._lines.get(timeout=seconds)
        except queue.Empty:
            return None
        if line == _END:
            raise self._ended()
        return self._parsed(line)

    def close(self) -> None:
        """End the process and its children at once; the next request starts another."""
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert process.stdin is not None
        with suppress(OSError):  # what was not read yet
            process.stdin.close()

    def _start(self) -> None:
        self.close()
        self._lines = queue.SimpleQueue()
        try:
            self._log.parent.mkdir(parents=True, exist_ok=True)
            with self._log.open("ab") as log:
                self._process = subprocess.Popen(
                    self._command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env=self._environment,
                    text=True,
                    encoding="utf-8",
                    errors="replace",
                    start_new_session=True,
                )
        except OSError as error:
            raise WorkerFailed(
                f"the offline worker {self._command[0]!r} cannot be started: {error}. Point the "
                "trainer's interpreter at one that has the `train` extra."
            ) from error
        assert self._process.stdout is not None
        _in_background(_pump, self._process.stdout, self._lines)

    def _parsed(self, line: str) -> dict[str, Any]:
        try:
            message = json.loads(line)
            if "error" in message:
                raise self._stated(message["error"])
            return {"id": str(message["id"]), "text": str(message["text"])}
        except (ValueError, LookupError, TypeError) as error:
            self.close()
            raise WorkerFailed(
                f"the offline worker wrote {line[:200]!r}, which is no answer; {self._tail()}."
            ) from error

    def _stated(self, problem: Mapping[str, Any]) -> EngineError:
        self.close()
        kind, way_out = _STATED.get(problem["reason"], _CRASHED)
        return kind(f"the offline worker says: {problem['message']} {way_out}")

    def _ended(self) -> EngineError:
        process = self._process
        assert process is not None
        with suppress(subprocess.TimeoutExpired):
            process.wait(_END_SECONDS)
        runs_on = process.returncode is None
        self.close()
        code = process.returncode  # its own if it was about to end
        if runs_on and code == -signal.SIGKILL:
            return EngineGone(
                f"the offline worker closed its output but ran on for {_END_SECONDS} s, so it was "
                f"ended; {self._tail()}. Resume: answers that arrived are kept."
            )
        if code < 0:
            return EngineGone(
                f"the offline worker was ended by signal {-code}, perhaps for lack of memory; "
                "resume: answers that arrived are kept."
            )
        return WorkerFailed(f"the offline worker ended with exit code {code}; {self._tail()}.")

    def _tail(self) -> str:
        try:
            with self._log.open("rb") as log:
                log.seek(max(0, self._log.stat().st_size - _TAIL_BYTES))
                lines = log.read().decode("utf-8", "replace").splitlines()
        except OSError:
            lines = []
        last = " / ".join(line.strip() for line in lines[-_TAIL_LINES:])
        return f"its log ends with: {last}" if last else "its log is empty"


def _in_background(work: Callable[..., None], *arguments: Any) -> None:
    threading.Thread(target=work, args=arguments, daemon=True).start()


def _feed(stdin: IO[str], line: str) -> None:
    """Write a line; a worker that ended meanwhile is noticed where its answers are read."""
    with suppress(OSError, ValueError):
        stdin.write(line)
        stdin.flush()


def _pump(stdout: IO[str], lines: queue.SimpleQueue[str]) -> None:
    with stdout:
        for line in stdout:
            lines.put(line)
    lines.put(_END)
