"""Output that is there whole or not at all: written under another name first."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eval.results.errors import OutputRefused


@contextmanager
def staged_folder(out: Path) -> Iterator[Path]:
    """Yield a new folder beside `out`; it becomes `out` if the block ends without an exception.

    Raises:
        OutputRefused: if `out` is a file, is not empty, or cannot be made.
    """
    out = out.absolute()
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        what = "is not empty, and nothing is overwritten" if out.is_dir() else "is a file"
        raise OutputRefused(f"{out} {what}. Name a new folder.")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{out.name}.part-", dir=out.parent))
    except OSError as error:
        raise OutputRefused(f"cannot make a folder in {out.parent}: {error.strerror}.") from error
    try:
        yield staging
        staging.chmod(0o755)
        os.replace(staging, out)
    except OSError as error:
        raise OutputRefused(
            f"cannot write {out}: {error.strerror}. Name another folder."
        ) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
