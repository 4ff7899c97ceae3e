"""`retain rewrites`: what was rewritten, before and after, and decisions on it."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.text import Text

from service.cli.context import JsonFlag, connect, console, print_json
from service.client import RetainClient

Keys = list[str] | None
_CHUNK = 1000  # as many as one request may hold


def rewrites(
    job: str,
    only: Annotated[
        str | None, typer.Option("--format", help="Only turns that got this format.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many to show.")] = 10,
    offset: Annotated[int, typer.Option(min=0, help="Leave out so many first.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Draws another sample.")] = 0,
    accept: Annotated[Keys, typer.Option(help="Keep this turn as rewritten; repeatable.")] = None,
    reject: Annotated[Keys, typer.Option(help="Put this turn back; repeatable.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Show a sample of rewritten turns before and after, or decide on turns by key.

    Decisions are taken while a job waits for its review (option `asd.review` of the task); then
    `retain job resume` puts rejected turns back into their native format and trains.

    Example: `retain rewrites job_01ab23cd --reject train-17#0 --reject train-29#0`
    """
    decisions = dict.fromkeys(accept or (), "accept") | dict.fromkeys(reject or (), "reject")
    if both := sorted(set(accept or ()) & set(reject or ())):
        raise typer.BadParameter(f"{both[0]!r} is given to --accept and to --reject. Choose one.")
    with connect() as client:
        if decisions:
            return _decide(client, job, decisions, as_json)
        page = client.rewrites(job, format=only, limit=limit, offset=offset, seed=seed)
    if as_json:
        return print_json(page)
    for row in page["data"]:
        _show(row)
    _show_end(page)


def _decide(client: RetainClient, job: str, decisions: dict[str, str], as_json: bool) -> None:
    items, changed = list(decisions.items()), 0
    answer: dict[str, Any] = {}
    for start in range(0, len(items), _CHUNK):
        answer = client.decide(job, dict(items[start : start + _CHUNK]))
        changed += answer["changed"]
    answer["changed"] = changed
    if as_json:
        return print_json(answer)
    counts = f"{answer['accepted']} accepted, {answer['rejected']} rejected so far"
    console.print(Text(f"job {job}: {changed} decisions taken; {counts}"))
    console.print(Text(f"next: retain job resume {job}"))


def _show(row: dict[str, Any]) -> None:
    before, after, decision = row["before"], row["after"], row["decision"]
    said = f"  {decision['verdict']}ed by {decision['by']}" if decision else ""
    formats = f"{before['format']} -> {after['format']}"
    console.print(Text.assemble((row["key"], "bold"), f"  {formats}", (said, "yellow")))
    for mark, turn in (("-", before), ("+", after)):
        style = "dim" if mark == "-" else ""
        for line in (*turn["question"].splitlines(), f"=> {turn['answer']}"):
            console.print(Text(f"  {mark} {line}", style), soft_wrap=True)
    console.print()


def _show_end(page: dict[str, Any]) -> None:
    kind = f" {page['format']}" if page["format"] else ""
    shown = f"{len(page['data'])} of {page['total']} rewritten{kind} turns"
    decided = f"{page['accepted']} accepted, {page['rejected']} rejected"
    console.print(Text(f"{shown}; {decided}"))
    if page["reviewing"]:
        text = f"next: retain rewrites {page['job']} --reject KEY, or retain job resume"
        console.print(Text(f"{text} {page['job']}"), soft_wrap=True)
