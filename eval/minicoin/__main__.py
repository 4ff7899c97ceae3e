"""Write minicoin tasks: `python -m eval.minicoin --task classes --out DIR --seed 0`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from eval.minicoin.tasks import TASKS
from eval.minicoin.writing import archive_task, write_task


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the named task, or all eight, and list what was written."""
    parser = argparse.ArgumentParser(prog="python -m eval.minicoin", description=__doc__)
    parser.add_argument("--task", choices=[*TASKS, "all"], default="all")
    parser.add_argument("--out", type=Path, required=True, help="folder for the tasks' folders")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--num-train", type=positive, default=2000)
    parser.add_argument("--num-eval", type=positive, default=200)
    parser.add_argument("--archive", action="store_true", help="write NAME.tar.gz as well")
    args = parser.parse_args(arguments)
    write = archive_task if args.archive else write_task
    for name in TASKS if args.task == "all" else [args.task]:
        try:
            path = write(name, args.out, args.seed, args.num_train, args.num_eval)
        except OSError as error:
            parser.error(f"cannot write {args.out / name}: {error.strerror}; name another --out")
        sys.stdout.write(f"{path}\n")


def positive(text: str) -> int:
    """Return a number of rows: an integer, at least 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is too small: at least 1 row is needed")
    return number


if __name__ == "__main__":
    main()
