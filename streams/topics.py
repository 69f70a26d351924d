"""The topics of UserSplit, with the settings each needs."""

from streams.messages import Topic

HITS = "usersplit.hits"
DEAD_HITS = "usersplit.hits.dead-letters"
LIFECYCLE = "usersplit.lifecycle"
CONFIGS = "usersplit.configs"


def all_topics(*, hit_partitions: int) -> tuple[Topic, ...]:
    """Return every topic. `hit_partitions` bounds how many sink processes can share the work."""
    week_ms = str(7 * 24 * 3600 * 1000)
    return (
        Topic(name=HITS, partitions=hit_partitions, config={"retention.ms": week_ms}),
        # A dead letter waits for a person, who may be on holiday.
        Topic(name=DEAD_HITS, partitions=1, config={"retention.ms": str(90 * 24 * 3600 * 1000)}),
        # The log of record is the event store; the topic keeps everything so that a new reader sees it from the start.
        Topic(name=LIFECYCLE, partitions=1, config={"retention.ms": "-1"}),
        # One partition and compaction: the newest document of every test, in one order (see docs/config-documents.md).
        Topic(name=CONFIGS, partitions=1, config={"cleanup.policy": "compact"}),
    )
