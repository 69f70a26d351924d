"""What operators do in a terminal: the schema, dead letters, and a look into BI."""

import json

import click
from rich.table import Table

from consumers import dead_letters as letters
from entrypoints import backbone as wiring
from entrypoints.console import DataTable, console
from entrypoints.databases import open_warehouse
from entrypoints.kafka import open_broker
from entrypoints.settings import KafkaSettings, MigrateSettings, WarehouseSettings
from entrypoints.visible import visible
from streams.topics import all_topics
from warehouse.hits import HitsPerVariant


@click.command()
def migrate() -> None:
    """Bring the database to the newest schema; and create the topics, if USERSPLIT_KAFKA_BOOTSTRAP_SERVERS is set.

    Safe to run again, and from several places at once.
    """
    settings = MigrateSettings.read()
    revision = wiring.migrate(settings.database_url.get_secret_value())
    click.echo(f"The database is at revision {revision}.")
    if settings.kafka_bootstrap_servers:
        topics = all_topics(hit_partitions=settings.hit_partitions)
        open_broker(settings).ensure_topics(topics)
        click.echo(f"The topics are there: {', '.join(topic.name for topic in topics)}.")


@click.group("dead-letters")
def dead_letters() -> None:
    """List, show, replay and drop the messages that could not become hits."""


@dead_letters.command("list")
def list_letters() -> None:
    """List the dead letters, the oldest first."""
    table = DataTable("letter", "at", "from", "reason")
    broker = open_broker(KafkaSettings.read())
    for letter in letters.dead_letters(broker):
        table.add_row(letter.letter_id, letter.at, f"{letter.topic}/{letter.partition}@{letter.offset}", letter.reason)
    if table.row_count:
        console().print(table)
    else:
        click.echo("There are no dead letters.")


@dead_letters.command("show")
@click.argument("letter_name", metavar="LETTER")
def show_letter(letter_name: str) -> None:
    """Show one dead letter, its raw bytes in hexadecimal."""
    letter = letters.dead_letter(open_broker(KafkaSettings.read()), letter_name)
    click.echo(visible(f"{letter.topic}/{letter.partition}@{letter.offset}, {letter.at}: {letter.reason}"))
    click.echo(f"key    {letter.key!r}")
    click.echo(f"value  {letter.value.hex(' ') if letter.value is not None else None}")


@dead_letters.command("replay")
@click.argument("names", metavar="LETTER", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every dead letter that is there.")
def replay_letters(names: tuple[str, ...], *, everything: bool) -> None:
    """Send dead letters to the hits topic again, say after an upgrade of the sink. BI counts a hit once anyway."""
    if bool(names) == everything:
        raise click.UsageError("Say which: their names, or --all.")
    broker = open_broker(KafkaSettings.read())
    count = letters.replay(broker, None if everything else names)
    click.echo(f"Sent {count} to the hits topic again.")


@dead_letters.command("drop")
@click.argument("names", metavar="LETTER", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every dead letter that is there.")
def drop_letters(names: tuple[str, ...], *, everything: bool) -> None:
    """Put dead letters aside for good: they are listed and replayed no more."""
    if bool(names) == everything:
        raise click.UsageError("Say which: their names, or --all.")
    count = letters.drop(open_broker(KafkaSettings.read()), None if everything else names)
    click.echo(f"Dropped {count}.")


@click.command()
@click.argument("key", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def hits(key: str | None, *, as_json: bool) -> None:
    """Print the hits per variant and settings group, from BI; of one test, or of all."""
    warehouse = open_warehouse(WarehouseSettings.read().warehouse_url.get_secret_value())
    try:
        rows = warehouse.hits_per_variant(key)
    finally:
        warehouse.close()
    if as_json:
        click.echo(json.dumps([_row(row) for row in rows], indent=2))
    else:
        console().print(hits_table(rows))


def hits_table(rows: list[HitsPerVariant]) -> Table:
    """Return hits per variant as a table for a terminal."""
    table = DataTable("test", "settings group", "variant", "environment", "hits", "units", "from (UTC)", "until (UTC)")
    for row in rows:
        table.add_row(
            row.test_key,
            str(row.settings_group),
            row.variant,
            row.environment,
            f"{row.hits:,}",
            f"{row.units:,}",
            f"{row.first_at:%Y-%m-%d %H:%M:%S}",
            f"{row.last_at:%Y-%m-%d %H:%M:%S}",
        )
    return table


def _row(row: HitsPerVariant) -> dict[str, object]:
    return {
        "test_key": row.test_key,
        "settings_group": row.settings_group,
        "variant": row.variant,
        "environment": row.environment,
        "hits": row.hits,
        "units": row.units,
        "first_at": row.first_at.isoformat(),
        "last_at": row.last_at.isoformat(),
    }
