"""Command line of the trainer. Nothing here imports torch before a run needs it."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

_EXAMPLES = """examples:
  python -m trainer supervise attempt/spec.json     train, survive, write exit.json
  python -m trainer plan attempt/spec.json --base-parameters 1500000
  python -m trainer methods                         methods with their config fields
  python -m trainer answer version.json             answer questions from stdin (JSON lines)
  torchrun --standalone --nproc-per-node=1 -m trainer run attempt/spec.json
                                                    the bare worker, without a supervisor

exit codes: 0 succeeded, 75 checkpointed on SIGTERM (run the same command to resume), 1 failed
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m trainer",
        description="Train one task of a stream: a spec goes in, an adapter folder comes out.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    run = verbs.add_parser("run", help="the worker: train under torchrun, resume if interrupted")
    supervise = verbs.add_parser(
        "supervise", help="start torchrun, pass on SIGTERM, record the end"
    )
    plan = verbs.add_parser("plan", help="print steps, memory and time as JSON; trains nothing")
    verbs.add_parser("methods", help="list the methods and their config fields as JSON")
    answer = verbs.add_parser("answer", help="answer questions as a version; see trainer.answering")
    for verb in (run, supervise, plan):
        verb.add_argument("spec", type=Path, metavar="SPEC", help="path of a training spec (JSON)")
    answer.add_argument("spec", type=Path, metavar="SPEC", help="path of an answer spec (JSON)")
    supervise.add_argument(
        "--grace",
        type=float,
        default=30.0,
        metavar="SECONDS",
        help="time to write a checkpoint between SIGTERM and SIGKILL (default 30)",
    )
    plan.add_argument(
        "--base-parameters", type=int, required=True, metavar="N", help="size of the base model"
    )
    plan.add_argument(
        "--trained-parameters",
        type=int,
        default=0,
        metavar="N",
        help="size of the adapter (default: 1 %% of the base)",
    )
    return parser


def _plan(spec_path: Path, base_parameters: int, trained_parameters: int) -> int:
    from trainer.plan import plan_training
    from trainer.spec import read_spec

    spec = read_spec(spec_path)
    with Path(spec.corpus).open(encoding="utf-8") as file:
        rows = sum(1 for _ in file)
    plan = plan_training(
        rows,
        spec.hyperparameters,
        base_parameters=base_parameters,
        trained_parameters=trained_parameters or base_parameters // 100,
    )
    sys.stdout.write(plan.model_dump_json() + "\n")
    return 0


def _methods() -> int:
    from trainer.catalog import METHODS

    listing = {
        name: {
            "summary": entry.summary,
            "delta_kind": entry.delta_kind,
            "servable_by": entry.servable_by,
            "config": entry.config.model_json_schema()["properties"],
        }
        for name, entry in METHODS.items()
    }
    sys.stdout.write(json.dumps(listing, indent=1) + "\n")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; return its exit code."""
    options = _parser().parse_args(arguments)
    if options.verb == "methods":
        return _methods()
    if options.verb == "plan":
        return _plan(options.spec, options.base_parameters, options.trained_parameters)
    if options.verb == "supervise":
        from trainer.supervisor import supervise

        return supervise(options.spec, options.grace)
    if options.verb == "answer":
        from trainer.answering import serve

        return serve(options.spec)
    from trainer.worker import work

    return work(options.spec)


if __name__ == "__main__":
    raise SystemExit(main())
