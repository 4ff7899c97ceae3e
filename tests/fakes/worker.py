"""A worker program without a model: answers by rule, and fails as questions tell it to.

`die` kills it, `crash` makes it exit with a traceback, `babble` makes it write no JSON, `stranger`
answers what was not asked, `hang` stops it (a child of its process group sleeps on, and its pid is
written to the file that follows), `state <reason>` makes it state an error.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path


def fake_worker() -> list[str]:
    """Return the command that starts this program."""
    return [sys.executable, str(Path(__file__).resolve())]


def answer_of(text: str) -> str:
    """Return the answer to a question: of the harness's rows the right one."""
    line = text.splitlines()[0]
    number = re.search(r" question (\d+)\?$", line)
    return f"answer {int(number[1]) % 3}" if number else f"answer to {line}"


def _write(message: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def _misbehave(order: str, argument: str) -> None:
    if order == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if order == "crash":
        raise RuntimeError("something broke")
    if order == "babble":
        sys.stdout.write("Loading weights: 100%\n")
    if order == "stranger":
        _write({"id": "nobody", "text": ""})
    if order == "hang":
        child = subprocess.Popen(["sleep", "600"])
        Path(argument).write_text(str(child.pid))
        time.sleep(600)
    if order == "state":
        _write({"error": {"reason": argument, "message": f"it was {argument}"}})
        sys.exit(1)


def main() -> None:
    """Serve until stdin ends."""
    for line in sys.stdin:
        request = json.loads(line)
        for question in request["questions"]:
            order, _, argument = question["text"].splitlines()[0].partition(" ")
            _misbehave(order, argument)
            said = f"{os.getpid()}" if order == "pid" else answer_of(question["text"])
            _write({"id": question["id"], "text": said[: request["max_tokens"]]})


if __name__ == "__main__":
    main()
