"""A real A/B test with 90,189 players goes through the pipeline, and BI counts exactly what the file says."""

from pathlib import Path

import pytest

from tests.support.cookie_cats import UNITS, cookie_cats
from tests.support.kafka import RealKafka
from tests.support.terminal import Terminal
from warehouse.postgres_hits import PostgresHits

COLUMNS = ("--unit-column", "userid", "--variant-column", "version", "--control", "gate_30")


def test_the_file_goes_through_the_embedded_parts(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    terminal, directory = Terminal(capsys, {}), tmp_path / "embedded"
    command = ("replay-csv", str(cookie_cats(tmp_path)), "--key", "cookie_cats_gate", *COLUMNS)
    terminal.done(*command, "--embedded", str(directory))
    terminal.environment["USERSPLIT_WAREHOUSE_URL"] = f"duckdb:///{directory / 'warehouse.duckdb'}"
    rows = terminal.run("hits", "cookie_cats_gate", "--json").json()
    assert {row["variant"]: row["hits"] for row in rows} == UNITS
    assert {row["variant"]: row["units"] for row in rows} == UNITS
    # The embedded broker of the second run knows nothing of the first one's messages.
    terminal.environment.clear()
    assert "44,700" in terminal.done(*command, "--embedded", str(directory))


@pytest.mark.real_kafka
@pytest.mark.real_postgres
def test_the_file_goes_through_kafka_and_postgresql(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, kafka: RealKafka, postgres_url: str
) -> None:
    warehouse_url = postgres_url.replace("postgresql+psycopg", "postgresql")
    terminal = Terminal(
        capsys,
        {
            "USERSPLIT_DATABASE_URL": postgres_url,
            "USERSPLIT_WAREHOUSE_URL": warehouse_url,
            "USERSPLIT_KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        },
    )
    command = ("replay-csv", str(cookie_cats(tmp_path)), "--key", "cookie_cats_gate", *COLUMNS, "--with-sink")
    terminal.done(*command)
    warehouse = PostgresHits(warehouse_url)
    try:
        counted = {row.variant: (row.hits, row.units) for row in warehouse.hits_per_variant("cookie_cats_gate")}
    finally:
        warehouse.close()
    assert counted == {variant: (units, units) for variant, units in UNITS.items()}


def test_a_file_without_the_column_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "hits.csv"
    file.write_text("userid,group\n1,a\n")
    terminal = Terminal(capsys, {})
    sentence = terminal.refused("replay-csv", str(file), "--key", "x", *COLUMNS, "--embedded", str(tmp_path / "e"))
    assert "has no column version; its columns are: userid, group" in sentence
    assert not (tmp_path / "e").exists()
