"""`retain job`: background work, watched and steered."""

from __future__ import annotations

from typing import Any

import typer
from rich.text import Text

from service.cli import context, view
from service.cli.context import JsonFlag, connect, console, print_json
from service.client import RetainClient, part

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
    view.show(console, view.table("jobs", columns, body))


@app.command("show")
def job_show(job: str, as_json: JsonFlag = False) -> None:
    """Print a job as JSON, with or without `--json`."""
    with connect() as client:
        print_json(client.job(job))


@app.command("validation")
def job_validation(job: str, as_json: JsonFlag = False) -> None:
    """List what validation found wrong with a job's data: row, field, what to do.

    Example: `retain job validation job_01ab23cd`
    """
    with connect() as client:
        found = client.get(f"/v1/jobs/{part(job)}/validation")
    if as_json:
        return print_json(found)
    for warning in found["warnings"]:
        console.print(Text(f"warning: {warning}", "yellow"))
    if found["valid"]:
        return console.print(Text(f"no problems in {found['counts'].get('rows', 0)} rows"))
    _show_problems(found)


def _show_problems(found: dict[str, Any]) -> None:
    problems = found["problems"]
    body = [
        (
            problem["split"],
            problem["row"] or None,
            problem["line"] or None,
            problem["row_id"],
            problem["field"],
            f"{problem['message']}. {problem['fix']}",
        )
        for problem in problems
    ]
    title = f"problems ({len(problems)} of {found['num_problems']})"
    view.show(console, view.table(title, ("split", "row", "line", "id", "field", "problem"), body))
    text = "next: correct these rows, then submit the archive again with 'retain task submit'"
    console.print(Text(text), soft_wrap=True)


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
    shown_on = context.errors if quiet else console
    progress = view.JobProgress(shown_on)
    progress.follow(client.watch(job_id))
    job = client.job(job_id)
    said = not job["reason"] or job["reason"] in progress.errors
    shown_on.print(Text(f"job {job_id} {job['state']}" + ("" if said else f": {job['reason']}")))
    if job["state"] == "failed":
        shown_on.print(Text(f"next: {_after_failure(job)}"), soft_wrap=True)
    return job


def _after_failure(job: dict[str, Any]) -> str:
    invalid = (job.get("error") or {}).get("code") == "invalid_rows"
    return f"retain job {'validation' if invalid else 'show'} {job['id']}"


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
