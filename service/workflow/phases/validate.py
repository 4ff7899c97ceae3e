"""Validate: every row and image is checked; valid data is stored by digest."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from adapters_store.backends import hash_file
from asd_rewriter.archive import ArchiveLimits, open_archive
from asd_rewriter.validation import Progress, ValidatedTask, validate_task
from service.streams import admission, queries
from service.streams.staging import staging_folder
from service.streams.uploads import ARCHIVE_NAME
from service.workflow.cleanup import delete_unless_touched
from service.workflow.context import Context, Facts, Tools
from service.workflow.leaks import reserved_rows
from service.workflow.measuring import items_in


def run(ctx: Context) -> dict[str, Any]:
    """Return the report and the stored splits; raises InvalidRows, which carries a report too."""
    facts = ctx.facts()
    folder = staging_folder(ctx.tools.settings, ctx.job_id)
    new = _NewBlobs(ctx.tools)
    try:
        valid = _validate(ctx, facts, folder, new.put_image)
        ctx.check()
        train, evaluation = new.put_file(valid.train_path), new.put_file(valid.eval_path)
        num_items = len(items_in(valid.eval_path, facts.card))
        _warn_of_few(ctx, facts, num_items)
    except BaseException:
        new.take_back()
        raise
    return {
        "report": valid.report.model_dump(mode="json"),
        "train_digest": train,
        "eval_digest": evaluation,
        "num_items": num_items,
    }


def _warn_of_few(ctx: Context, facts: Facts, num_items: int) -> None:
    needed = int(facts.stream.gate["min_samples"])
    if num_items < needed:
        ctx.warn_once(
            f"the evaluation split has {num_items} questions, the stream's gate judges from "
            f"{needed} on (min_samples): later versions will be blocked as undecided because of "
            "this task"
        )


def _validate(
    ctx: Context, facts: Facts, folder: Path, put_image: Callable[[bytes], str]
) -> ValidatedTask:
    limits = ArchiveLimits(max_total_bytes=ctx.tools.settings.max_upload_bytes)

    def on_progress(progress: Progress) -> None:
        ctx.check()
        what = "rows checked" if progress.phase == "check" else "images stored"
        ctx.progress(progress.done, progress.total, what.split()[0], what)

    with open_archive(folder / ARCHIVE_NAME, limits) as archive:
        return validate_task(
            archive,
            facts.card,
            put_image,
            folder / "valid",
            reserved_eval=_reserved(ctx, facts),
            seed=facts.plan.seed,
            on_progress=on_progress,
        )


def _reserved(ctx: Context, facts: Facts) -> dict[str, str]:
    """Return the evaluation rows of the tasks on the lineage, and of those queued before."""
    with ctx.tools.db.read() as session:
        parent = admission.find_parent(session, facts.stream, facts.plan.parent)
        earlier = admission.lineage_tasks(session, parent)
        ahead = queries.pending_jobs(session, facts.stream.id)
        earlier += [task for job, task in ahead if job.queue_position < facts.job.queue_position]
    return reserved_rows(ctx.tools.blobs, [task for task in earlier if task.id != facts.task.id])


class _NewBlobs:
    """Stores blobs and remembers which were new, to take them back when no task keeps them."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._new: dict[str, float] = {}

    def put_image(self, data: bytes) -> str:
        """Store an image; return its digest."""
        known = self._tools.blobs.exists(hashlib.sha256(data).hexdigest())
        return self._note(self._tools.blobs.put_bytes(data), known)

    def put_file(self, path: Path) -> str:
        """Store a split; return its digest."""
        known = self._tools.blobs.exists(hash_file(path))
        return self._note(self._tools.blobs.put_file(path), known)

    def take_back(self) -> None:
        """Delete the new blobs, except those that somebody else has put since."""
        for digest, touched_at in self._new.items():
            delete_unless_touched(self._tools, digest, touched_at)

    def _note(self, digest: str, known: bool) -> str:
        if not known:
            self._new[digest] = self._tools.blobs.touched_at(digest)
        return digest
