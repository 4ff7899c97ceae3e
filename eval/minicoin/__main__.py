"""Write minicoin tasks: `python -m eval.minicoin --task classes --out DIR --seed 0`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from eval.minicoin.tasks import TASKS
from eval.minicoin.writing import archive_task, write_task


def main() -> None:
    """Write the named task, or all eight, and list what was written."""
    parser = argparse.ArgumentParser(prog="python -m eval.minicoin", description=__doc__)
    parser.add_argument("--task", choices=[*TASKS, "all"], default="all")
    parser.add_argument("--out", type=Path, required=True, help="folder for the tasks' folders")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--num-train", type=int, default=2000)
    parser.add_argument("--num-eval", type=int, default=200)
    parser.add_argument("--archive", action="store_true", help="write NAME.tar.gz as well")
    args = parser.parse_args()
    write = archive_task if args.archive else write_task
    for name in TASKS if args.task == "all" else [args.task]:
        path = write(name, args.out, args.seed, args.num_train, args.num_eval)
        sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
