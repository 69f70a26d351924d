"""A test that lives in the code alone reaches BI like every other one: by the same hits, topic, sink and table."""

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from consumers.bi_sink import GROUP, BiSink
from consumers.bi_sink_limits import BatchLimits
from consumers.dead_letters import DeadLetterWriter
from streams.memory import MemoryBroker
from streams.messages import OutgoingMessage
from streams.topics import HITS, all_topics
from usersplit import HitLogger, MemoryHitTransport
from usersplit.tracks import SimpleTrackSet
from warehouse.duckdb_hits import DuckDbHits


class CatalogDelay(SimpleTrackSet):
    settings_group = 2

    @staticmethod
    def short_track() -> None:
        """Wait a little, in a real shop."""


def test_the_hits_of_tracks_are_counted_by_variant_in_the_warehouse(tmp_path: Path) -> None:
    wire = MemoryHitTransport()
    shown = {"control": 0, "short": 0}
    with HitLogger(wire, app="shop", environment_name="production") as hits:
        for key in range(40):
            with CatalogDelay(key=key, hits=hits) as track:
                track()
            shown[track.name] += 1
        assert hits.flush(60)

    broker = MemoryBroker()
    broker.ensure_topics(all_topics(hit_partitions=1))
    broker.producer().send([OutgoingMessage(topic=HITS, key=key, value=value) for key, value in wire.records])
    with closing(DuckDbHits(tmp_path / "bi.duckdb")) as warehouse:
        warehouse.prepare()
        sink = BiSink(
            source=broker.source(GROUP),
            warehouse=warehouse,
            dead_letters=DeadLetterWriter(broker.producer, now=lambda: datetime.now(UTC)),
            batches=BatchLimits(freshness_seconds=0.0, first_retry_seconds=0.0, last_retry_seconds=0.0),
        )
        sink.start()
        stored = 0
        while stored < 40:  # the suite's timeout ends it, should a hit be lost
            stored += sink.step()
        sink.close()
        counted = warehouse.hits_per_variant("CatalogDelay")

    assert min(shown.values()) > 0
    assert {each.variant: (each.hits, each.units) for each in counted} == {
        name: (number, number) for name, number in shown.items()
    }
    assert {(each.settings_group, each.environment) for each in counted} == {(2, "production")}
