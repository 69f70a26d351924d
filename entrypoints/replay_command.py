"""`replay-csv`: a real A/B test from a file, through the whole pipeline, with the counts compared at the end."""

import getpass
import logging
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from domain.people import Actor
from entrypoints.backbone import migrate, open_backbone
from entrypoints.bi_processes import run_bi_sink
from entrypoints.console import DataTable, console
from entrypoints.databases import open_warehouse
from entrypoints.embedded import EmbeddedUserSplit
from entrypoints.kafka import open_broker
from entrypoints.metrics import Metrics
from entrypoints.recorded_test import RecordedTest
from entrypoints.replay import CountsDiffer, Replay
from entrypoints.settings import ReplaySettings
from entrypoints.threads import Crew
from notifications.log_notifier import LogNotifier
from streams.topics import all_topics


@click.command("replay-csv")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--key", required=True, help="The key of the test that is made of it.")
@click.option("--unit-column", required=True, help="The column with the units' ids.")
@click.option("--variant-column", required=True, help="The column with the variants' names.")
@click.option("--control", help="Which of the variants is the control.")
@click.option(
    "--embedded",
    type=click.Path(file_okay=False, path_type=Path),
    help="Run on embedded parts in this directory, instead of the parts in the settings.",
)
@click.option("--with-sink", is_flag=True, help="Run a BI sink in this process as well, if no other is running.")
def replay_csv(
    file: Path,
    key: str,
    unit_column: str,
    variant_column: str,
    control: str | None,
    embedded: Path | None,
    *,
    with_sink: bool,
) -> None:
    """Replay a real A/B test from a CSV with one unit a row: through Kafka into BI, then compare the counts.

    \b
    python -m entrypoints replay-csv cookie_cats.csv --key cookie_cats_gate \\
        --unit-column userid --variant-column version --control gate_30 --embedded var/cookie_cats

    Running it again is harmless: BI counts each row once. Exit code 1 if the counts differ.
    """  # noqa: D301 - \b is click's mark for text that keeps its lines
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    recorded = RecordedTest(path=file, unit_column=unit_column, variant_column=variant_column)
    expected = recorded.units_per_variant()
    with _embedded(embedded) if embedded else _connected(with_sink=with_sink) as replay:
        group = replay.prepare(recorded, key=key, control=control, actor=Actor(name=getpass.getuser()))
        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        with Progress(*columns, console=console(stderr=True)) as bar:
            task = bar.add_task("", total=expected.total())

            def show(sent: int, arrived: int) -> None:
                bar.update(task, completed=arrived, description=f"{sent:,} sent, {arrived:,} in BI")

            found = replay.feed(recorded, key=key, settings_group=group, progress=show)
    _compare(expected, found)


def _compare(expected: Counter[str], found: Counter[str]) -> None:
    table = DataTable("variant", "in the file", "in BI", "")
    for variant in sorted(expected | found):
        same = "✔" if expected[variant] == found[variant] else "differs"
        table.add_row(variant, f"{expected[variant]:,}", f"{found[variant]:,}", same)
    console().print(table)
    if expected != found:
        raise CountsDiffer("BI does not hold what the file says; see the table")


@contextmanager
def _embedded(directory: Path) -> Iterator[Replay]:
    with EmbeddedUserSplit(directory.resolve(), notifier=LogNotifier()) as usersplit:
        yield Replay(
            backbone=usersplit.backbone,
            warehouse=usersplit.warehouse,
            bootstrap_servers=usersplit.embedded_broker.bootstrap_servers,
            kafka_options={},
            check=usersplit.check,
        )


@contextmanager
def _connected(*, with_sink: bool) -> Iterator[Replay]:
    settings = ReplaySettings.read()
    database_url = settings.database_url.get_secret_value()
    if with_sink:
        migrate(database_url)
        open_broker(settings).ensure_topics(all_topics(hit_partitions=settings.hit_partitions))
    backbone, crew = open_backbone(database_url, catalog_path=settings.catalog), Crew()
    warehouse = open_warehouse(settings.warehouse_url.get_secret_value())
    try:
        if with_sink:
            crew.start("bi-sink", lambda stop: run_bi_sink(settings, stop, Metrics()))
        yield Replay(
            backbone=backbone,
            warehouse=warehouse,
            bootstrap_servers=settings.kafka_bootstrap_servers,
            kafka_options=settings.kafka_options,
            check=crew.check,
        )
    finally:
        crew.stop()
        warehouse.close()
        backbone.close()
