"""What operators ask when a test has fewer hits than visitors: which service lost some, how many, and why."""

import json
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import click

from consumers.hit_reports import LostHits, all_reports
from consumers.hit_reports import lost_hits as sums_of
from entrypoints.console import DataTable, console
from entrypoints.kafka import open_broker
from entrypoints.moments import moment_of
from entrypoints.settings import KafkaSettings

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@click.command("lost-hits")
@click.option(
    "--since", metavar="MOMENT", help="Only what was reported from then on; UTC unless it says otherwise: 2026-05-03."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def lost_hits(*, since: str | None, as_json: bool) -> None:
    """Print the hits that services lost, by server and reason, as they reported it in the last 90 days."""
    begins = (moment_of(since) - _EPOCH) // timedelta(microseconds=1) if since else 0
    rows = sums_of(all_reports(open_broker(KafkaSettings.read())), since=begins)
    if as_json:
        click.echo(json.dumps([asdict(row) | {"last_at": _time(row).isoformat()} for row in rows], indent=2))
        return
    if not rows:
        click.echo("No service reported a lost hit.")
        return
    table = DataTable("service", "environment", "server", "processes", "lost", "of", "because", "last report (UTC)")
    for row in rows:
        table.add_row(
            row.app,
            row.environment,
            row.host,
            f"{row.processes:,}",
            f"{sum(row.dropped.values()):,}",
            f"{row.given:,}",
            ", ".join(f"{reason} {count:,}" for reason, count in row.dropped.items()),
            f"{_time(row):%Y-%m-%d %H:%M:%S}",
        )
    console().print(table)
    click.echo("Of the processes that lost hits; the others report nothing, nor do those that were killed.")


def _time(row: LostHits) -> datetime:
    return _EPOCH + timedelta(microseconds=row.last_at)
