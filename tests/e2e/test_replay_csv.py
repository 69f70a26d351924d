"""A real A/B test with 90,189 players goes through the pipeline, and BI counts exactly what the file says."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cookie_cats import UNITS, cookie_cats
from tests.support.kafka import RealKafka
from tests.support.terminal import Terminal
from warehouse.postgres_hits import PostgresHits

COLUMNS = ("--unit-column", "userid", "--variant-column", "version", "--control", "gate_30")


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """Take away what the command logs with: it writes to a stream that ends with the test."""
    before = list(logging.root.handlers)
    yield
    for handler in logging.root.handlers[:]:
        if handler not in before:
            logging.root.removeHandler(handler)


@pytest.mark.long
def test_the_file_goes_through_the_embedded_parts(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    terminal, directory = Terminal(capsys, {}), tmp_path / "embedded"
    command = ("replay-csv", str(cookie_cats(tmp_path, pytestconfig)), "--key", "cookie_cats_gate", *COLUMNS)
    terminal.done(*command, "--embedded", str(directory))
    terminal.environment["USERSPLIT_WAREHOUSE_URL"] = f"duckdb:///{directory / 'warehouse.duckdb'}"
    rows = terminal.run("hits", "cookie_cats_gate", "--json").json()
    assert {row["variant"]: row["hits"] for row in rows} == UNITS
    assert {row["variant"]: row["units"] for row in rows} == UNITS
    # The embedded broker of the second run knows nothing of the first one's messages.
    terminal.environment.clear()
    assert "44,700" in terminal.done(*command, "--embedded", str(directory))


@pytest.mark.long
@pytest.mark.real_kafka
@pytest.mark.real_postgres
def test_the_file_goes_through_kafka_and_postgresql(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    pytestconfig: pytest.Config,
    kafka: RealKafka,
    postgres_url: str,
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
    command = (
        "replay-csv",
        str(cookie_cats(tmp_path, pytestconfig)),
        "--key",
        "cookie_cats_gate",
        *COLUMNS,
        "--with-sink",
    )
    terminal.done(*command)
    warehouse = PostgresHits(warehouse_url)
    try:
        counted = {row.variant: (row.hits, row.units) for row in warehouse.hits_per_variant("cookie_cats_gate")}
    finally:
        warehouse.close()
    assert counted == {variant: (units, units) for variant, units in UNITS.items()}


def refused(capsys: pytest.CaptureFixture[str], directory: Path, content: bytes) -> str:
    """Replay a file of this content, which must be refused; return the sentence."""
    file = directory / "hits.csv"
    file.write_bytes(content)
    command = ("replay-csv", str(file), "--key", "x", *COLUMNS, "--embedded", str(directory / "e"))
    return Terminal(capsys, {}).refused(*command)


def test_a_file_without_the_column_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    sentence = refused(capsys, tmp_path, b"userid,group\n1,a\n")
    assert "has no column version; its columns are: userid, group" in sentence
    assert not (tmp_path / "e").exists()


NOT_CSV = {
    "not UTF-8": (b"userid,version\n\xfc,gate_30\n", "is not UTF-8; save it as CSV in UTF-8"),
    "a quotation mark that is never closed": (b'userid,version\n1,"gate_30\n2,gate_40\n', "unexpected end of data"),
    "a field of 200 kB": (b"userid,version\n1,gate_30\n2," + b"x" * 200_000 + b"\n", "field larger than field limit"),
    "a row without a unit": (b"userid,version\n,gate_30\n", "line 2: no unit in userid"),
}


@pytest.mark.parametrize("mistake", NOT_CSV)
def test_what_is_no_csv_is_refused_with_a_sentence_before_anything_is_made(
    mistake: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    content, said = NOT_CSV[mistake]
    assert said in refused(capsys, tmp_path, content)
    assert not (tmp_path / "e").exists()


def test_a_variant_that_no_test_could_have_leaves_no_test_behind(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    sentence = refused(capsys, tmp_path, b"userid,version\n1,gate 30\n2,gate_30\n")
    assert "'gate 30' cannot be a variant's name" in sentence
    assert "rename it in the column version" in sentence
    terminal = Terminal(capsys, {"USERSPLIT_DATABASE_URL": f"sqlite:///{tmp_path / 'e' / 'usersplit.db'}"})
    assert terminal.run("list", "--json").json() == []


def test_a_spreadsheets_mark_is_read_over_and_another_file_under_the_same_key_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    terminal, file = Terminal(capsys, {}), tmp_path / "hits.csv"
    command = ("replay-csv", str(file), "--key", "gate", *COLUMNS, "--embedded", str(tmp_path / "e"))
    file.write_bytes("\ufeffuserid,version\n1,gate_30\n2,gate_40\n".encode())
    terminal.done(*command)
    file.write_bytes(b"userid,version\n3,gate_30\n4,gate_40\n")
    sentence = terminal.refused(*command)
    assert "KeyInUse: the test gate exists and was not made of this file and these columns" in sentence
