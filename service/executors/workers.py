"""Workers that answer for versions which no engine serves: `python -m trainer answer`."""

from __future__ import annotations

import subprocess
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from eval.errors import WorkerFailed
from eval.worker import Worker
from service.executors.local import trainer_environment
from trainer.spec import AnswerSpec

_LOG_FILE = "worker.log"
_PROBE = (
    "from importlib.metadata import version as v;"
    "print('transformers', v('transformers'), 'torch', v('torch'))"
)


class Workers(Protocol):
    """Makes workers; says what they compute with."""

    def build(self) -> str:
        """Return what answers depend on besides the version: libraries with their versions."""
        ...

    def make(self, spec: AnswerSpec, folder: Path) -> Worker:
        """Return a worker, not started yet, that answers as a version; its files are in `folder`.

        Raises WorkerFailed when there is nothing to start it with.
        """
        ...


class LocalWorkers:
    """Workers on this machine, run by the trainer's interpreter."""

    def __init__(self, python: str) -> None:
        self._python = python

    def build(self) -> str:
        """Return the versions of transformers and torch; raises WorkerFailed without them."""
        return _find_build(self._python)

    def make(self, spec: AnswerSpec, folder: Path) -> Worker:
        """Write the worker's spec, return the worker."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "version.json"
        path.write_text(spec.model_dump_json(indent=1), encoding="utf-8")
        command = [self._python, "-m", "trainer", "answer", str(path)]
        return Worker(command, folder / _LOG_FILE, trainer_environment())


@lru_cache
def _find_build(python: str) -> str:
    try:
        found = subprocess.run(
            [python, "-c", _PROBE], capture_output=True, text=True, check=True, timeout=120
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise WorkerFailed(
            f"{python} has no transformers: install the `train` extra into it, or set "
            "RETAIN_TRAINER_PYTHON to an interpreter that has it."
        ) from error
    return found.stdout.strip()
