"""The sink as operators have it, a process on a real Kafka and PostgreSQL: metrics, health, dead letters."""

import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from consumers.dead_letters import dead_letters
from streams.kafka_broker import KafkaBroker
from streams.topics import DEAD_HITS, HITS, all_topics
from tests.support.kafka import RealKafka
from tests.support.terminal import ROOT, Terminal, wait_until
from tests.support.watched_sink import a_hit, send
from usersplit.hits import HIT_PREFIX
from warehouse.hits import HITS_SCHEMA, OffsetRange
from warehouse.postgres_hits import PostgresHits

pytestmark = [pytest.mark.real_kafka, pytest.mark.real_postgres]

HITS_SENT = 100
BAD = [b"poison", None, b"", b"\1" + a_hit(0)[1:], a_hit(0)[:-1], a_hit(0, attributes='{"price": NaN}')]


@pytest.fixture
def terminal(capsys: pytest.CaptureFixture[str], kafka: RealKafka, postgres_url: str) -> Terminal:
    return Terminal(
        capsys,
        {
            "USERSPLIT_WAREHOUSE_URL": postgres_url.replace("+psycopg", "", 1),
            "USERSPLIT_KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "USERSPLIT_METRICS_PORT": "0",
            "USERSPLIT_DEAD_LETTERS_IN_A_ROW": "20",
        },
    )


@pytest.fixture
def broker(kafka: RealKafka) -> KafkaBroker:
    broker = KafkaBroker(kafka.bootstrap_servers)
    broker.ensure_topics(all_topics(hit_partitions=4))
    return broker


@pytest.fixture
def warehouse(broker: KafkaBroker, postgres_url: str) -> Iterator[PostgresHits]:
    """A warehouse that has what other tests left on the topic behind it."""
    with closing(PostgresHits(postgres_url)) as made:
        made.prepare()
        with closing(broker.log_reader(HITS)) as reader:
            ranges = [
                OffsetRange(topic=HITS, partition=number, first=0, next=end)
                for (_, number), end in reader.end_offsets().items()
                if end
            ]
        made.store(HITS_SCHEMA.empty_table(), ranges)
        yield made


@contextmanager
def sink(terminal: Terminal, log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("USERSPLIT_")}
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [sys.executable, "-m", "entrypoints", "bi-sink"],
            cwd=ROOT,
            env={**clean, **terminal.environment},
            stdout=output,
            stderr=output,
        ) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def get(log: Path, path: str) -> str:
    """Return what the process answers over HTTP; its log says where."""
    found = re.search(r"metrics are at (http://[^/]+)/metrics", log.read_text())
    if found is None:
        return ""
    with urllib.request.urlopen(found[1] + path, timeout=20) as response:  # noqa: S310 - our own address
        text: str = response.read().decode()
        return text


def told(log: Path) -> dict[str, float]:
    """Return the metrics of the process."""
    lines = [line for line in get(log, "/metrics").splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def stored(warehouse: PostgresHits) -> int:
    return sum(line.hits for line in warehouse.hits_per_variant())


def test_operators_see_what_a_sink_does_handle_its_dead_letters_and_are_stopped_by_too_many(
    terminal: Terminal, broker: KafkaBroker, warehouse: PostgresHits, tmp_path: Path
) -> None:
    log, dead = tmp_path / "log", f'usersplit_sent_records_total{{topic="{DEAD_HITS}"}}'
    before = {letter.letter_id for letter in dead_letters(broker)}
    send(broker, HITS, [*(a_hit(number) for number in range(HITS_SENT)), *BAD, a_hit(0)])
    with sink(terminal, log) as process:
        wait_until("every hit is in BI", lambda: stored(warehouse) == HITS_SENT)
        wait_until("every bad one is put aside", lambda: told(log).get(dead) == len(BAD))
        wait_until("the end is reached", lambda: told(log)["usersplit_hits_unread"] == 0)
        # What is read is not yet stored: the double may be in hand still.
        wait_until("the double is seen", lambda: told(log).get("usersplit_duplicate_hits_total") == 1)
        metrics = told(log)
        assert metrics["usersplit_stored_hits_total"] == HITS_SENT
        assert metrics["usersplit_batch_hits_sum"] == HITS_SENT + 1
        assert metrics["usersplit_store_hits_seconds_count"] >= 1
        assert get(log, "/health") == "alive\n"

        letters = [letter for letter in dead_letters(broker) if letter.letter_id not in before]
        assert sorted(letter.value or b"" for letter in letters) == sorted(value or b"" for value in BAD)
        listed = terminal.done("dead-letters", "list")
        assert all(letter.letter_id in listed for letter in letters)
        assert "attributes is not the text of a JSON object" in listed
        torn, poison = (
            next(one.letter_id for one in letters if one.value == value) for value in (a_hit(0)[:-1], b"poison")
        )
        shown = terminal.done("dead-letters", "show", torn)
        assert "torn or damaged" in shown
        assert HIT_PREFIX.hex(" ") in shown
        assert "Sent 1" in terminal.done("dead-letters", "replay", torn)
        wait_until("what is bad still is put aside again", lambda: told(log).get(dead) == len(BAD) + 1)
        assert "Dropped 1" in terminal.done("dead-letters", "drop", poison)
        assert f" {poison} " not in terminal.done("dead-letters", "list")
        assert f"there is no dead letter {poison}" in terminal.refused("dead-letters", "show", poison)

        send(broker, HITS, [b"poison"] * 50)
        assert process.wait(120) == 1
    said = log.read_text()
    assert "in a row are no valid hits" in said
    assert "USERSPLIT_DEAD_LETTERS_IN_A_ROW" in said
    assert stored(warehouse) == HITS_SENT
    assert [letter.value for letter in dead_letters(broker) if letter.letter_id not in before].count(b"poison") == 0
