"""Evaluation rows that must not be trained on: those of every task that a version stands on."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from adapters_store.backends import LocalBlobStore
from asd_rewriter.fingerprints import fingerprints, reserve
from asd_rewriter.samples import read_samples
from service.db.tables import TaskRow
from service.errors import RetainError
from service.streams import admission
from service.workflow.context import Context, Facts

_NAMED = 5


class LeakedRows(RetainError):
    """Training rows that equal evaluation rows of a task which was learned meanwhile."""

    status = 422
    code = "leaked_rows"


def reserved_rows(blobs: LocalBlobStore, tasks: Sequence[TaskRow]) -> dict[str, str]:
    """Return the fingerprints of the tasks' evaluation rows, each with its task's name."""
    reserved: dict[str, str] = {}
    for task in tasks:
        if task.eval_digest is not None:
            reserved |= reserve(read_samples(blobs.path(task.eval_digest)), task.name)
    return reserved


def refuse_leaks(ctx: Context, facts: Facts) -> None:
    """Raise LeakedRows when the task would train on evaluation rows of its lineage.

    Validation has looked for them, but a job that was paused, retried or overtaken stands on
    tasks that were not there then.
    """
    assert facts.parent is not None
    assert facts.task.train_digest is not None
    with ctx.tools.db.read() as session:
        tasks = admission.lineage_tasks(session, facts.parent)
    reserved = reserved_rows(ctx.tools.blobs, tasks)
    leaked = (
        f"{sample.id!r} (of {reserved[print_]!r})"
        for sample in read_samples(ctx.tools.blobs.path(facts.task.train_digest))
        for print_ in fingerprints(sample)
        if print_ in reserved
    )
    if found := list(islice(leaked, _NAMED)):
        raise LeakedRows(
            f"training rows equal evaluation rows of tasks that {facts.stream.name}@"
            f"{facts.parent.number} has learned meanwhile: {', '.join(found)}"
            f"{', ...' if len(found) == _NAMED else ''}. Remove them and submit the task again."
        )
