"""The topics of UserSplit, with the settings each needs."""

from streams.messages import Topic

HITS = "usersplit.hits"
DEAD_HITS = "usersplit.hits.dead-letters"
HIT_REPORTS = "usersplit.hits.reports"
LIFECYCLE = "usersplit.lifecycle"
CONFIGS = "usersplit.configs"
LAID_OUT = "usersplit.laid-out"

LARGEST_MESSAGE_BYTES = 8 * 1024 * 1024
"""What our producers send at most. The largest settings that the domain allows fit, twice escaped as they are in the
lifecycle topic: `domain.settings` refuses conditions of more than 3 MiB."""

_MINUTE_MS = 60 * 1000
_DAY_MS = 24 * 60 * _MINUTE_MS
# A little more than the producer's limit: a batch has a header of its own, and the producer shall be the one to say no.
_LARGE = {"max.message.bytes": str(LARGEST_MESSAGE_BYTES + 64 * 1024)}


def all_topics(*, hit_partitions: int) -> tuple[Topic, ...]:
    """Return every topic. `hit_partitions` bounds how many sink processes can share the work."""
    return (
        Topic(name=HITS, partitions=hit_partitions, config={"retention.ms": str(7 * _DAY_MS)}),
        # A dead letter waits for a person, who may be on holiday.
        Topic(name=DEAD_HITS, partitions=1, config={"retention.ms": str(90 * _DAY_MS)}),
        # All reports, not the newest alone: the difference of two tells on which day hits were lost.
        Topic(name=HIT_REPORTS, partitions=1, config={"retention.ms": str(90 * _DAY_MS)}),
        # The log of record is the event store; the topic keeps everything so that a new reader sees it from the start.
        Topic(name=LIFECYCLE, partitions=1, config={"retention.ms": "-1", **_LARGE}),
        # One partition and compaction: the newest document of every test, in one order (see docs/config-documents.md).
        # Only closed segments are compacted: an agent that starts reads an hour of heartbeats at most, not a week.
        Topic(
            name=CONFIGS,
            partitions=1,
            config={"cleanup.policy": "compact", "segment.ms": str(60 * _MINUTE_MS), **_LARGE},
        ),
        # The newest report of every server; one that has been silent for a day is forgotten here as well.
        Topic(
            name=LAID_OUT,
            partitions=1,
            config={
                "cleanup.policy": "compact,delete",
                "retention.ms": str(_DAY_MS),
                "segment.ms": str(10 * _MINUTE_MS),
                **_LARGE,
            },
        ),
    )
