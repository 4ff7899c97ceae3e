"""The commands. Each matches one REST call; `--json` prints that call's answer as it is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.text import Text

from service.cli import context, inputs, jobs, keys, view
from service.cli.context import JsonFlag, connect, console, print_json
from service.cli.evaluating import evaluate
from service.cli.reporting import report
from service.cli.rewrites import rewrites
from service.cli.rewriting import rewrite
from service.cli.serve import serve
from service.client import part

app = typer.Typer(
    name="retain",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="""Continual instruction tuning for multimodal LLMs.

Start with `retain serve`, then `retain stream create`, `retain task submit --wait`,
`retain report`, `retain chat`, and `retain rollback` when a version disappoints;
`retain dashboard` shows it all in a browser.
""",
)
streams = typer.Typer(no_args_is_help=True, help="Model lines: create and list.")
tasks = typer.Typer(no_args_is_help=True, help="Datasets: submit and list.")
for name, group in (("stream", streams), ("task", tasks), ("job", jobs.app), ("key", keys.app)):
    app.add_typer(group, name=name)
app.command()(serve)
app.command()(rewrite)
app.command()(rewrites)
app.command("eval")(evaluate)
app.command()(report)


@app.callback()
def choose_service(
    url: Annotated[
        str, typer.Option(envvar="RETAIN_URL", help="Where the service listens.")
    ] = "http://127.0.0.1:8000",
    state_dir: Annotated[
        Path, typer.Option(envvar="RETAIN_STATE_DIR", help="State folder with the admin key.")
    ] = Path(".retain"),
) -> None:
    """Choose the service; the key comes from RETAIN_API_KEY or the state folder's admin.key.

    That admin.key is only sent to a service on this machine.
    """
    context.target.url = url
    context.target.state_dir = state_dir


@streams.command("create")
def stream_create(
    name: Annotated[str, typer.Argument(help="e.g. shop-assistant")],
    base: Annotated[str, typer.Option(help="Base model: a local folder or a hub id.")],
    revision: Annotated[str | None, typer.Option(help="Hub revision.")] = None,
    method: Annotated[str, typer.Option(help="Continual-learning method.")] = "reglora",
    method_config: inputs.MethodConfig = None,
    hyperparameters: inputs.TrainingNumbers = None,
    x_percent: Annotated[
        float, typer.Option(callback=inputs.percent, help="Rows rewritten by ASD, in percent.")
    ] = 20.0,
    asd: inputs.Rewriting = None,
    seed: inputs.Seed = None,
    gate: inputs.GatePolicy = None,
    eval_limit: inputs.EvalLimit = None,
    probe_limit: inputs.ProbeLimit = None,
    future_tasks: inputs.FutureTasks = False,
    as_json: JsonFlag = False,
) -> None:
    """Create a stream on a base model.

    Example: `retain stream create demo --base ./my-model --method reglora`
    """
    fields = {
        "name": name,
        "base": str(Path(base).resolve()) if Path(base).is_dir() else base,
        "revision": revision,
        "method": method,
        "method_config": method_config,
        "hyperparameters": hyperparameters,
        "x_percent": x_percent,
        "asd": asd,
        "seed": seed,
        "gate": gate,
        "eval_limit": eval_limit,
        "probe_limit": probe_limit,
        "future_tasks": future_tasks,
    }
    with connect() as client:
        stream = client.create_stream(**{k: v for k, v in fields.items() if v not in (None, {})})
    if as_json:
        return print_json(stream)
    console.print(f"stream [bold]{escape(name)}[/] created on {escape(stream['base'])}")
    command = f"retain task submit {name} --card card.json --archive data.tar.gz --wait"
    console.print(Text(f"next: {command}"), soft_wrap=True)


@streams.command("list")
def stream_list(as_json: JsonFlag = False) -> None:
    """List the streams."""
    with connect() as client:
        rows = client.list_all("/v1/streams")
    if as_json:
        return print_json(rows)
    body = [
        (row["name"], row["base"], row["method"], view.moment(row["created_at"])) for row in rows
    ]
    view.show(console, view.table("streams", ("name", "base", "method", "created"), body))


@tasks.command("submit")
def task_submit(
    stream: str,
    card: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="Task card (JSON).")],
    archive: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="zip, tar or tar.gz.")],
    options: inputs.TaskOptions = None,
    wait: Annotated[bool, typer.Option("--wait", help="Show live progress until it ends.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the plan.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Submit a dataset: it is validated, rewritten, trained, evaluated, gated and promoted.

    Example: `retain task submit demo --card card.json --archive task.tar.gz --wait`
    """
    body = inputs.read_card(card)
    with connect() as client:
        job = client.submit_task(stream, body, archive, options, dry_run=dry_run)
        if dry_run:
            return print_json(job) if as_json else view.show_plan(console, job)
        if wait:
            job = jobs.follow(client, job["id"], quiet=as_json)
    if as_json:
        print_json(job)
    elif not wait:
        console.print(f"job [bold]{escape(job['id'])}[/] {escape(job['state'])}")
        console.print(Text(f"next: retain job watch {job['id']}"))
    jobs.exit_for(job)


@tasks.command("list")
def task_list(stream: str, as_json: JsonFlag = False) -> None:
    """List the tasks of a stream."""
    with connect() as client:
        rows = client.list_all(f"/v1/streams/{part(stream)}/tasks")
    if as_json:
        return print_json(rows)
    body = [(row["name"], row["state"], row["job"], view.moment(row["created_at"])) for row in rows]
    view.show(console, view.table("tasks", ("name", "state", "job", "created"), body))


@app.command()
def versions(stream: str, as_json: JsonFlag = False) -> None:
    """List a stream's versions with their aliases."""
    with connect() as client:
        rows = client.list_all(f"/v1/streams/{part(stream)}/versions")
    if as_json:
        return print_json(rows)
    body = [
        (
            f"{stream}@{row['number']}",
            row.get("task"),
            ", ".join(row.get("aliases", [])),
            row.get("verdict"),
            view.moment(row["created_at"]),
        )
        for row in rows
    ]
    view.show(
        console, view.table("versions", ("version", "task", "aliases", "gate", "created"), body)
    )


@app.command()
def chat(
    model: Annotated[str, typer.Argument(help="stream, stream@7, stream@0 or stream@alias")],
    question: str,
    image: Annotated[Path | None, typer.Option(exists=True, dir_okay=False)] = None,
    max_tokens: int = 64,
    temperature: Annotated[float, typer.Option(help="0 gives the same answer every time.")] = 0.0,
    as_json: JsonFlag = False,
) -> None:
    """Ask a version one question, exactly as typed.

    Evaluation appends the answer format's instruction line; type it for an answer in that style.

    Example: `retain chat demo@2 "What is in the image?" --image cat.png`
    """
    with connect() as client:
        answer = client.chat(model, question, image, max_tokens=max_tokens, temperature=temperature)
    if as_json:
        return print_json(answer)
    text = answer["choices"][0]["message"]["content"] or ""
    console.print(Text(answer["model"], "dim"), Text(text))


@app.command()
def dashboard(as_json: JsonFlag = False) -> None:
    """Print a link that signs one browser in to the dashboard, within 10 minutes."""
    with connect() as client:
        link = client.post("/v1/login-links")
    if as_json:
        return print_json(link)
    console.print(Text(f"{context.target.url.rstrip('/')}{link['path']}"), soft_wrap=True)


@app.command()
def rollback(
    stream: str,
    to: Annotated[
        Any,
        typer.Option(
            parser=inputs.version_or_previous,
            metavar="NUMBER|previous",
            help="Version number, or 'previous': what the alias named before.",
        ),
    ] = "previous",
    reason: Annotated[str, typer.Option(help="Why; kept in the journal.")] = "rollback by hand",
    alias: str = "production",
    override: Annotated[
        bool, typer.Option("--override", help="Promote past a gate that blocks (admin).")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Move an alias: back, forward or to any other version; the engine proves it first.

    Without `--to` it goes to what it named before, so a second `rollback` undoes the first.

    Example: `retain rollback demo --to 2 --reason "worse on invoices"`
    """
    with connect() as client:
        move = client.move_alias(stream, to, reason, alias=alias, override=override)
    if as_json:
        return print_json(move)
    if move.get("moved") is False:
        return console.print(Text(f"{alias} names {move['to']} already; nothing changed"))
    before = move["from"] or "nothing"
    console.print(Text(f"{stream}@{alias}: {before} -> {move['to']} ({move['kind']})"))


if os.environ.get("RETAIN_DEBUG"):
    app.pretty_exceptions_enable = True
else:
    app.pretty_exceptions_enable = False
