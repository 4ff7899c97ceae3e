"""`retain key`: API keys."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from service.cli import view
from service.cli.context import JsonFlag, connect, console, print_json
from service.client import part

app = typer.Typer(no_args_is_help=True, help="API keys: create, list, revoke.")


@app.command("create")
def key_create(
    name: str,
    role: Annotated[str, typer.Option(help="reader, operator or admin.")] = "operator",
    as_json: JsonFlag = False,
) -> None:
    """Make an API key; its secret is shown this once.

    Example: `retain key create ci --role reader`
    """
    with connect() as client:
        key = client.post("/v1/keys", {"name": name, "role": role})
    if as_json:
        return print_json(key)
    console.print(Text(f"key {key['id']} ({key['name']}, {key['role']}); its secret, shown once:"))
    console.print(Text(key["secret"]), soft_wrap=True)


@app.command("list")
def key_list(as_json: JsonFlag = False) -> None:
    """List API keys, newest first."""
    with connect() as client:
        rows = client.list_all("/v1/keys")
    if as_json:
        return print_json(rows)
    body = [
        (
            row["id"],
            row["name"],
            row["role"],
            view.moment(row["created_at"]),
            view.moment(row["revoked_at"]) if row["revoked_at"] else None,
        )
        for row in rows
    ]
    columns = ("id", "name", "role", "created", "revoked")
    view.show(console, view.table("keys", columns, body))


@app.command("revoke")
def key_revoke(key: str, as_json: JsonFlag = False) -> None:
    """Revoke an API key at once."""
    with connect() as client:
        revoked = client.delete(f"/v1/keys/{part(key)}")
    if as_json:
        return print_json(revoked)
    console.print(Text(f"key {revoked['id']} ({revoked['name']}) revoked"))
