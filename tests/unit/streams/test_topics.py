from pathlib import Path

from streams.messages import Topic
from streams.topics import all_topics

PAGE = Path(__file__).parents[3] / "docs" / "streams.md"
DAY_MS = 24 * 3600 * 1000


def kept(topic: Topic) -> str:
    """Return how long the topic's records are kept, as the page says it."""
    config = topic.config
    for_ever = config.get("retention.ms") == "-1"
    days = 0 if for_ever else int(config.get("retention.ms", 0)) // DAY_MS
    told = {0: "", 1: "1 day"}.get(days, f"{days} days")
    is_compacted = "compact" in config.get("cleanup.policy", "delete").split(",")
    assert ("delete" in config.get("cleanup.policy", "delete").split(",")) == bool(days or for_ever)
    return ", ".join(filter(None, ["compacted" if is_compacted else "", "for ever" if for_ever else told]))


def test_topics_are_made_as_the_page_promises_and_no_other_ones() -> None:
    rows = [
        line.split(" | ") for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `usersplit.")
    ]
    promised = {name.removeprefix("| ").strip("`"): (partitions, how) for name, partitions, how, *_ in rows}
    topics = {topic.name: (str(topic.partitions), kept(topic)) for topic in all_topics(hit_partitions=12)}
    assert promised.pop("usersplit.hits") == ("as configured", "7 days")
    assert topics.pop("usersplit.hits") == ("12", "7 days")
    assert topics == promised
