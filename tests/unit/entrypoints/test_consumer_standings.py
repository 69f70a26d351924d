"""What operators are told of consumers, over a real log and read models, and Kafka in memory."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

import pytest

from commands.split_tests import Request
from consumers.bi_sink import GROUP as BI_SINK_GROUP
from domain.people import Actor
from entrypoints.backbone import Backbone
from entrypoints.clock import now
from entrypoints.consumer_standings import ConsumerStandings
from events.checkpoints import move
from events.database import write_transaction
from projections import laid_out, preparation_steps
from projections.laid_out import Report
from streams.groups import ConsumerGroups, GroupStanding
from streams.memory import MemoryBroker
from streams.messages import OutgoingMessage
from streams.ports import BrokerAway
from streams.topics import HIT_REPORTS, HITS, LIFECYCLE, all_topics
from warehouse.errors import WarehouseDown
from web.consumer_standings import ConsumerStanding

ANN = Request(actor=Actor(name="ann"))
SETTINGS = {
    "starts_at": "2026-05-01",
    "ends_at": "2026-06-01",
    "conditions": [],
    "variants": [{"name": "control", "control": True, "percent": 10}, {"name": "green", "percent": 10}],
}


@pytest.fixture
def backbone(migrated_sqlite_url: str) -> Iterator[Backbone]:
    backbone = Backbone(migrated_sqlite_url)
    yield backbone
    backbone.close()


def read(
    backbone: Backbone, groups: ConsumerGroups | None = None, *, after: timedelta = timedelta()
) -> dict[str, ConsumerStanding]:
    def later() -> datetime:
        return now() + after

    return {each.name: each for each in ConsumerStandings(backbone, groups, now=later).read()}


def test_a_follower_of_the_log_is_behind_by_the_facts_that_it_has_not_passed(backbone: Backbone) -> None:
    assert read(backbone)["relay"].state == "up to date"
    backbone.split_tests.create(ANN, key="button", name="Button")
    backbone.split_tests.propose_settings(ANN, "button", SETTINGS)
    relay = read(backbone)["relay"]
    assert (relay.state, relay.behind, relay.advice) == ("behind", 2, "")
    with write_transaction(backbone.engine) as connection:
        move(connection, "relay", expected=0, to=1)
    assert read(backbone)["relay"].behind == 1
    late = read(backbone, after=timedelta(minutes=3))["relay"]
    assert (late.state, late.behind) == ("late", 1)
    assert late.since is not None
    assert "running" in late.advice


def test_the_preparer_is_behind_by_what_waits_to_be_prepared(backbone: Backbone) -> None:
    backbone.split_tests.create(ANN, key="button", name="Button")
    assert read(backbone)["preparer"].state == "up to date"
    backbone.split_tests.propose_settings(ANN, "button", SETTINGS)
    assert (read(backbone)["preparer"].state, read(backbone)["preparer"].behind) == ("behind", 1)
    with write_transaction(backbone.engine) as connection:
        preparation_steps.tell(connection, "button", settings_group=1, step="overlaps", detail="", at=now())
    assert read(backbone)["preparer"].state == "behind"
    assert read(backbone, after=timedelta(minutes=3))["preparer"].state == "late"
    assert backbone.preparer.prepare("button")
    assert read(backbone)["preparer"].state == "up to date"


def test_nobody_looks_where_servers_reported_and_are_not_heard_of(backbone: Backbone) -> None:
    assert "laid-out" not in read(backbone)
    report = Report(environment="production", host="web-1", position=1, tests={})
    with write_transaction(backbone.engine) as connection:
        laid_out.record(connection, report, offset=0, at=now())
    assert read(backbone)["laid-out"].state == "up to date"
    assert read(backbone, after=timedelta(minutes=3))["laid-out"].state == "late"


def test_a_sink_is_behind_by_the_hits_that_it_did_not_commit(backbone: Backbone) -> None:
    broker = MemoryBroker()
    broker.ensure_topics(all_topics(hit_partitions=1))
    broker.producer().send([OutgoingMessage(topic=HITS, key=None, value=b"hit") for _ in range(5)])
    nobody = read(backbone, broker)["bi-sink"]
    assert (nobody.state, nobody.behind, nobody.members) == ("nobody reads", 5, 0)
    source = broker.source(BI_SINK_GROUP)
    source.subscribe([HITS], assigned=lambda _: {}, revoked=lambda _: None, lost=lambda _: None)
    source.poll(max_messages=3, timeout_seconds=0)
    source.commit({(HITS, 0): 3})
    assert (read(backbone, broker)["bi-sink"].state, read(backbone, broker)["bi-sink"].behind) == ("behind", 2)
    source.commit({(HITS, 0): 5})
    assert read(backbone, broker)["bi-sink"].state == "up to date"


DIMENSIONS = {"dimensions": (LIFECYCLE, "facts"), "dimensions (hit reports)": (HIT_REPORTS, "reports")}


@pytest.mark.parametrize("name", DIMENSIONS)
def test_the_dimensions_are_behind_by_what_the_warehouse_has_not_stored_of_either_topic(
    backbone: Backbone, name: str
) -> None:
    topic, unit = DIMENSIONS[name]
    broker = MemoryBroker()
    broker.ensure_topics(all_topics(hit_partitions=1))
    broker.producer().send([OutgoingMessage(topic=topic, key=b"button", value=b"fact") for _ in range(3)])
    (partition,) = {number for (_, number), end in broker.log_reader(topic).end_offsets().items() if end}
    moment, stored = now(), {partition: 1}
    offsets: dict[str, dict[int, int]] = {LIFECYCLE: {}, HIT_REPORTS: {}, topic: stored}
    standings = ConsumerStandings(backbone, broker, now=lambda: moment, stored=offsets.__getitem__)

    def dimensions() -> ConsumerStanding:
        found = {each.name: each for each in standings.read()}
        (other,) = DIMENSIONS.keys() - {name}
        assert (found[other].state, found[other].behind) == ("up to date", 0)
        return found[name]

    assert (dimensions().state, dimensions().behind, dimensions().since) == ("behind", 2, None)
    assert dimensions().unit == unit
    seen_at, moment = moment, moment + timedelta(minutes=3)
    stuck = dimensions()
    assert (stuck.state, stuck.behind, stuck.since) == ("late", 2, seen_at)
    assert "running" in stuck.advice
    stored[partition] = 2
    assert (dimensions().state, dimensions().behind) == ("behind", 1)
    stored[partition] = 3
    moment += timedelta(minutes=3)
    assert (dimensions().state, dimensions().behind) == ("up to date", 0)


def test_one_topic_that_goes_on_does_not_hide_that_the_other_is_stuck(backbone: Backbone) -> None:
    broker = MemoryBroker()
    broker.ensure_topics(all_topics(hit_partitions=1))
    for topic in (LIFECYCLE, HIT_REPORTS):
        broker.producer().send([OutgoingMessage(topic=topic, key=b"button", value=b"x") for _ in range(9)])
    moment, offsets = now(), {LIFECYCLE: {0: 1}, HIT_REPORTS: {0: 1}}
    standings = ConsumerStandings(backbone, broker, now=lambda: moment, stored=offsets.__getitem__)
    for number in range(2, 5):
        standings.read()
        offsets[LIFECYCLE] = {0: number}
        moment += timedelta(minutes=1)
    states = {each.name: each.state for each in standings.read() if each.name in DIMENSIONS}
    assert states == {"dimensions": "behind", "dimensions (hit reports)": "late"}


def test_without_the_warehouse_the_dimensions_are_not_known_and_it_is_said_why(backbone: Backbone) -> None:
    broker = MemoryBroker()
    broker.ensure_topics(all_topics(hit_partitions=1))
    for name in DIMENSIONS:
        assert "USERSPLIT_KAFKA_BOOTSTRAP_SERVERS" in read(backbone)[name].advice
        unknown = read(backbone, broker)[name]
        assert (unknown.state, unknown.behind) == ("not known", None)
        assert "USERSPLIT_WAREHOUSE_URL" in unknown.advice

    def away(topic: str) -> Mapping[int, int]:
        raise WarehouseDown(f"no answer about {topic}")

    found = ConsumerStandings(backbone, broker, now=now, stored=away).read()
    down = {each.name: each for each in found if each.name in DIMENSIONS}
    assert {each.state for each in down.values()} == {"not known"}
    assert {name: DIMENSIONS[name][0] in each.advice for name, each in down.items()} == dict.fromkeys(DIMENSIONS, True)


def test_the_expiry_of_overrides_is_behind_by_the_units_of_which_something_has_ended(backbone: Backbone) -> None:
    qa = Request(actor=Actor(name="quinn", may_override=True))
    assert (read(backbone)["override-expiry"].state, read(backbone)["override-expiry"].behind) == ("up to date", 0)
    until = now() + timedelta(hours=1)
    backbone.overrides.disable_tests(qa, unit="user:1", environment="devel", until=until)
    assert read(backbone)["override-expiry"].state == "up to date"
    just_over = read(backbone, after=timedelta(hours=1, seconds=30))["override-expiry"]
    assert (just_over.state, just_over.behind, just_over.unit) == ("behind", 1, "units")
    late = read(backbone, after=timedelta(hours=1, minutes=3))["override-expiry"]
    assert (late.state, late.since) == ("late", until)
    assert "running" in late.advice


class Away:
    """A Kafka that does not answer."""

    def standing(self, group: str, topic: str) -> GroupStanding:
        del group, topic
        raise BrokerAway("nobody answered")

    def unread(self, topic: str, offsets: Mapping[int, int]) -> int:
        del topic, offsets
        raise BrokerAway("nobody answered")


def test_what_kafka_does_not_tell_is_not_known_and_says_why(backbone: Backbone) -> None:
    without = read(backbone)["bi-sink"]
    assert (without.state, without.behind) == ("not known", None)
    assert "USERSPLIT_KAFKA_BOOTSTRAP_SERVERS" in without.advice
    away = read(backbone, Away())["bi-sink"]
    assert (away.state, away.advice) == ("not known", "nobody answered")
