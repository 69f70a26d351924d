"""What operators ask about servers and their config files: who has laid out what, and please send it again."""

import json

import click
from rich.table import Table

from consumers import republish_requests
from entrypoints.backbone import open_backbone
from entrypoints.clock import now
from entrypoints.console import DataTable, console, plain
from entrypoints.settings import DatabaseSettings
from events.database import write_transaction
from projections import documents, laid_out
from projections.laid_out import Server


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def servers(*, as_json: bool) -> None:
    """List the servers whose agents have reported, and how many tests each of them misses."""
    backbone = open_backbone(DatabaseSettings.read().database_url.get_secret_value())
    try:
        with backbone.reading() as connection:
            found = laid_out.servers(connection)
            missing = [name for names in laid_out.not_laid_out(connection).values() for name in names]
    finally:
        backbone.close()
    if as_json:
        click.echo(json.dumps([_row(server, missing.count(server.name)) for server in found], indent=2))
    elif not found:
        click.echo("No agent has reported yet. Are the processes agent and laid-out running?")
    else:
        console().print(_table(found, missing))


def _table(found: list[Server], missing: list[str]) -> Table:
    table = DataTable("server", "state", "position", "misses", "last report (UTC)", "looked at (UTC)")
    for server in found:
        count = missing.count(server.name)
        table.add_row(
            server.name,
            "live" if server.is_live else plain(f"silent for {server.silent_seconds / 60:.0f} min", style="red"),
            str(server.position),
            plain(f"{count} tests", style="red") if count else "–",
            f"{server.reported_at:%Y-%m-%d %H:%M:%S}",
            f"{server.known_at:%Y-%m-%d %H:%M:%S}",
        )
    return table


def _row(server: Server, missing: int) -> dict[str, object]:
    return {
        "environment": server.environment,
        "host": server.host,
        "is_live": server.is_live,
        "silent_seconds": server.silent_seconds,
        "position": server.position,
        "missing_tests": missing,
        "reported_at": server.reported_at.isoformat(),
        "known_at": server.known_at.isoformat(),
    }


@click.command()
@click.argument("keys", metavar="KEY", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every document there is.")
def republish(keys: tuple[str, ...], *, everything: bool) -> None:
    """Ask the relay to send current config documents again, say after a rebuild that changed how they are written.

    KEY is a test's; a user group's document is called ~user_group.KEY, that of QA overrides ~overrides.
    """
    if bool(keys) == everything:
        raise click.UsageError("Say which: their keys, or --all.")
    backbone = open_backbone(DatabaseSettings.read().database_url.get_secret_value())
    try:
        with backbone.reading() as connection:
            wanted = (
                documents.all_documents(connection) if everything else documents.get_many(connection, sorted(set(keys)))
            )
        found = [document.key for document in wanted]
        if missing := set(keys) - set(found):
            raise republish_requests.NoSuchConfig(min(missing))
        with write_transaction(backbone.engine) as connection:
            republish_requests.request(connection, found, at=now())
    finally:
        backbone.close()
    click.echo(f"The relay sends {len(found)} config documents again, within a heartbeat if it runs.")
