"""`retain job`: background work, watched and steered."""

from __future__ import annotations

from typing import Any

import typer
from rich.text import Text

from service.cli import context, view
from service.cli.context import JsonFlag, connect, console, print_json
from service.client import RetainClient

app = typer.Typer(no_args_is_help=True, help="Background work: watch and steer.")


@app.command("list")
def job_list(
    stream: str | None = None, state: str | None = None, as_json: JsonFlag = False
) -> None:
    """List jobs, newest first."""
    with connect() as client:
        rows = client.list_all("/v1/jobs", stream=stream, state=state)
    if as_json:
        return print_json(rows)
    columns = ("id", "stream", "task", "state", "phase", "reason")
    body = [
        [*(row[column] for column in columns[:-1]), view.first_sentence(row["reason"])]
        for row in rows
    ]
    console.print(view.table("jobs", columns, body))


@app.command("show")
def job_show(job: str, as_json: JsonFlag = False) -> None:
    """Print a job as JSON, with or without `--json`."""
    with connect() as client:
        print_json(client.job(job))


@app.command("watch")
def job_watch(job: str, as_json: JsonFlag = False) -> None:
    """Show a job's progress until it ends; exit code 1 when it failed or was cancelled.

    Example: `retain job watch job_01ab23cd`
    """
    with connect() as client:
        ended = follow(client, job, quiet=as_json)
    if as_json:
        print_json(ended)
    exit_for(ended)


def follow(client: RetainClient, job_id: str, *, quiet: bool = False) -> dict[str, Any]:
    """Show a job's progress until it ends; return the job."""
    console_used = context.errors if quiet else console
    view.JobProgress(console_used).follow(client.watch(job_id))
    job = client.job(job_id)
    reason = f": {job['reason']}" if job["reason"] else ""
    console_used.print(Text(f"job {job_id} {job['state']}{reason}"))
    return job


def exit_for(job: dict[str, Any]) -> None:
    """Exit with code 1 when a job ended without a version."""
    if job.get("state") in ("failed", "cancelled"):
        raise typer.Exit(1)


def _control(job: str, action: str, as_json: bool) -> None:
    with connect() as client:
        answer = client.control(job, action)
    if as_json:
        return print_json(answer)
    reason = f" ({answer['reason']})" if answer["reason"] else ""
    console.print(Text(f"job {job}: {answer['state']}{reason}"))


@app.command("pause")
def job_pause(job: str, as_json: JsonFlag = False) -> None:
    """Pause a job; a running trainer writes a checkpoint first."""
    _control(job, "pause", as_json)


@app.command("resume")
def job_resume(job: str, as_json: JsonFlag = False) -> None:
    """Resume a paused job from its checkpoint."""
    _control(job, "resume", as_json)


@app.command("cancel")
def job_cancel(job: str, as_json: JsonFlag = False) -> None:
    """Cancel a job; no version is made."""
    _control(job, "cancel", as_json)


@app.command("retry")
def job_retry(job: str, as_json: JsonFlag = False) -> None:
    """Run a failed or cancelled job again on the stored data."""
    _control(job, "retry", as_json)
