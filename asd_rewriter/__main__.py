"""Command line: `python -m asd_rewriter validate|rewrite`. Prints one JSON report to stdout.

validate ARCHIVE CARD OUT      checks a task; writes OUT/train.jsonl, OUT/eval.jsonl, OUT/images/
rewrite TRAIN CARD OUT         rewrites a train.jsonl of `validate`; writes the file OUT

Exit status: 0 done, 1 invalid (the report or the error says why).
"""

from __future__ import annotations

import argparse
import json
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from asd_rewriter.archive import check_card_splits, open_archive
from asd_rewriter.cards import TaskCard
from asd_rewriter.errors import AsdError, InvalidRows
from asd_rewriter.mix import RewriteStream
from asd_rewriter.plan import RewritePlan
from asd_rewriter.samples import SampleFile, write_samples
from asd_rewriter.validation import validate_task


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return the exit status."""
    options = _parser().parse_args(arguments)
    try:
        card = TaskCard.model_validate_json(options.card.read_bytes())
        report = options.run(options, card)
    except InvalidRows as error:
        _write(error.report.model_dump(mode="json"))
        return 1
    except (AsdError, ValidationError, OSError) as error:
        _write({"error": str(error), "code": getattr(error, "code", "invalid_request")})
        return 1
    _write(report)
    return 0


def _validate(options: argparse.Namespace, card: TaskCard) -> dict[str, Any]:
    images: Path = options.out / "images"
    images.mkdir(parents=True, exist_ok=True)

    def put_image(data: bytes) -> str:
        digest = sha256(data).hexdigest()
        (images / digest).write_bytes(data)
        return digest

    with open_archive(options.source) as archive:
        check_card_splits(archive, card)
        task = validate_task(archive, card, put_image, options.out, seed=options.seed)
    return task.report.model_dump(mode="json")


def _rewrite(options: argparse.Namespace, card: TaskCard) -> dict[str, Any]:
    plan = RewritePlan(x_percent=options.x, seed=options.seed)
    stream = RewriteStream(SampleFile(options.source), card, plan)
    write_samples(options.out, (it.sample for it in stream))
    return stream.report.model_dump(mode="json")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m asd_rewriter",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True)
    for name, run in (("validate", _validate), ("rewrite", _rewrite)):
        command = commands.add_parser(name)
        command.set_defaults(run=run)
        for argument in ("source", "card", "out"):
            command.add_argument(argument, type=Path)
        command.add_argument("--seed", type=int, default=0)
        if name == "rewrite":
            command.add_argument("--x", type=float, default=20.0, help="percent of turns (0..100)")
    return parser


def _write(report: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
