"""What services told of their lost hits, read out of its topic."""

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner

import entrypoints.lost_hits_command
from consumers.hit_reports import LostHits, all_reports, lost_hits, newest_of
from entrypoints.cli import cli
from streams.memory import MemoryBroker
from streams.messages import OutgoingMessage
from streams.topics import HIT_REPORTS, all_topics
from usersplit.hit_reports import HitReport, encode_hit_report

FIRST = HitReport(
    process="p1",
    reported_at=1_777_900_000_000_000,
    app="shop",
    host="web-1",
    environment="production",
    accepted=100,
    delivered=80,
    dropped=20,
    dropped_buffer_full=20,
)
LAST = replace(
    FIRST, reported_at=FIRST.reported_at - 5, accepted=110, delivered=85, dropped=25, dropped_closed=5, is_final=True
)
OTHER = replace(FIRST, process="p2", accepted=50, recovered=10, delivered=20, spooled=5, dropped=25)


@pytest.fixture
def broker() -> MemoryBroker:
    made = MemoryBroker()
    made.ensure_topics(all_topics(hit_partitions=1))
    return made


def tell(broker: MemoryBroker, *values: HitReport | bytes) -> None:
    broker.producer().send(
        [
            OutgoingMessage(
                topic=HIT_REPORTS,
                key=value.process.encode() if isinstance(value, HitReport) else None,
                value=encode_hit_report(value) if isinstance(value, HitReport) else value,
            )
            for value in values
        ]
    )


def test_the_newest_report_of_a_process_counts_however_often_and_in_whatever_order_they_come(
    broker: MemoryBroker,
) -> None:
    tell(broker, FIRST, LAST, OTHER, FIRST, LAST)
    assert newest_of(all_reports(broker)) == {"p1": LAST, "p2": OTHER}


def test_what_is_no_report_is_left_out_with_a_warning(broker: MemoryBroker, caplog: pytest.LogCaptureFixture) -> None:
    tell(broker, b"\x00\x00\x00\x00\x09from the future", FIRST)
    assert all_reports(broker) == [FIRST]
    assert f"{HIT_REPORTS}/0@0 is left out" in caplog.text


def test_the_processes_of_a_server_are_added_up_and_each_hit_is_given_once() -> None:
    elsewhere = replace(FIRST, process="p3", host="web-0")
    first, second = lost_hits([LAST, OTHER, elsewhere])
    assert (first.host, first.processes, first.given) == ("web-0", 1, 100)
    assert second == LostHits(
        app="shop",
        environment="production",
        host="web-1",
        processes=2,
        given=150,
        delivered=105,
        # 5 of them for a reason that this release does not know.
        dropped={"buffer_full": 40, "closed": 5, "other": 5},
        waiting=5,
        last_at=FIRST.reported_at,
    )


def test_since_a_moment_counts_what_was_added_to_the_last_report_before_it() -> None:
    since = FIRST.reported_at + 10
    later = replace(LAST, reported_at=since, dropped_buffer_full=22, dropped=27, dropped_closed=5, delivered=83)
    (row,) = lost_hits([FIRST, later, OTHER], since=since)
    assert (row.processes, row.given, row.delivered, row.waiting) == (1, 10, 3, 0)
    assert row.dropped == {"closed": 5, "buffer_full": 2}
    assert lost_hits([FIRST, later, OTHER], since=since + 1) == []
    (all_of_it,) = lost_hits([later, FIRST, OTHER])
    assert sum(all_of_it.dropped.values()) == 27 + 25


def test_operators_are_told_who_lost_how_many_and_why(broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USERSPLIT_KAFKA_BOOTSTRAP_SERVERS", "in-memory:9092")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(entrypoints.lost_hits_command, "open_broker", lambda _: broker)
    run = CliRunner().invoke
    assert run(entrypoints.lost_hits_command.lost_hits).output == "No service reported a lost hit.\n"
    tell(broker, LAST)
    printed = run(entrypoints.lost_hits_command.lost_hits).output
    assert "buffer_full 20, closed 5" in printed
    assert "2026-05-04 13:06:39" in printed
    (row,) = json.loads(run(entrypoints.lost_hits_command.lost_hits, ["--json"]).output)
    assert (row["app"], row["given"], row["dropped"]) == ("shop", 110, {"buffer_full": 20, "closed": 5})
    assert row["last_at"] == "2026-05-04T13:06:39.999995+00:00"
    since = ["--json", "--since"]
    told = run(entrypoints.lost_hits_command.lost_hits, [*since, "2026-05-04T13:06:39"]).output
    assert json.loads(told) == [row]
    assert json.loads(run(entrypoints.lost_hits_command.lost_hits, [*since, "2026-05-04T13:06:40Z"]).output) == []
    assert "lost-hits" in run(cli, ["--help"]).output
