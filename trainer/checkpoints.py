"""Checkpoints of an attempt: found only when complete, kept two deep.

The files are DeepSpeed's and Trainer's own and are read back from the attempt's folder only.
A marker, written after everything else, lists every file with its size: a folder without it,
or whose files have other sizes, was torn by a crash and is removed.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from trainer.files import write_atomically

KEPT = 2
"""Complete checkpoints that stay."""
_MARKER = "complete.json"
_PREFIX = "checkpoint-"


def checkpoint_folder(root: Path, step: int) -> Path:
    """Return the folder of the checkpoint after `step` optimizer steps."""
    return root / f"{_PREFIX}{step}"


def step_of(folder: Path) -> int:
    """Return after how many optimizer steps a checkpoint was written."""
    return int(folder.name.removeprefix(_PREFIX))


def mark_complete(folder: Path) -> None:
    """Declare everything in `folder` written."""
    sizes = {str(path.relative_to(folder)): path.stat().st_size for path in _files(folder)}
    write_atomically(folder / _MARKER, json.dumps(sizes))


def is_complete(folder: Path) -> bool:
    """Return whether the checkpoint was marked and its files still have their sizes."""
    try:
        sizes = json.loads((folder / _MARKER).read_text(encoding="utf-8"))
        return all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError):
        return False


def find_latest(root: Path) -> Path | None:
    """Return the newest complete checkpoint, or None."""
    return next((folder for folder in _newest_first(root) if is_complete(folder)), None)


def prune(root: Path, kept: int = KEPT) -> None:
    """Remove torn checkpoints and all but the `kept` newest complete ones."""
    for folder in _newest_first(root):
        if kept and is_complete(folder):
            kept -= 1
        else:
            shutil.rmtree(folder, ignore_errors=True)


def _newest_first(root: Path) -> list[Path]:
    return sorted(root.glob(f"{_PREFIX}*"), key=step_of, reverse=True)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())
