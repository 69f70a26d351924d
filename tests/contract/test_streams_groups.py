"""Members of a consumer group, on every broker: where they start, who has which partition, what waits for them."""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from uuid import uuid4

import pytest

from streams.messages import Message, TopicPartition
from streams.ports import BrokerAway, Source
from tests.support.brokers import (
    PARTITIONS,
    Listener,
    World,
    join,
    numbered,
    poll_until_shared,
    read,
    read_to_end,
    send,
)
from tests.support.terminal import wait_until


def test_a_group_is_behind_by_what_it_did_not_commit_and_has_the_members_it_has(world: World) -> None:
    group = f"group-{uuid4().hex}"
    groups = world.groups

    def has_coordinator() -> bool:  # a broker that has just started looks for one
        with suppress(BrokerAway):
            return groups.standing(group, world.topic).behind == 0
        return False

    wait_until("the broker tells of the group", has_coordinator)
    send(world.broker, numbered(world.topic, 100))
    never = groups.standing(group, world.topic)
    assert (never.behind, never.members or 0) == (100, 0)
    source = join(world, group, Listener())
    found = read(source, 100)
    newest: dict[TopicPartition, int] = {}
    for message in found[:60]:
        newest[message.topic, message.partition] = message.offset + 1
    source.commit(newest)
    wait_until("the commit is seen", lambda: groups.standing(group, world.topic).behind == 100 - sum(newest.values()))
    assert groups.standing(group, world.topic).members in {1, None}
    source.close()
    assert groups.standing(group, world.topic).members in {0, None}
    elsewhere = {partition: offset for (_, partition), offset in newest.items()}
    assert groups.unread(world.topic, elsewhere) == 100 - sum(newest.values())
    assert groups.unread(world.topic, {}) == 100


def test_a_partition_starts_where_the_listener_says_and_at_its_beginning_otherwise(world: World) -> None:
    send(world.broker, numbered(world.topic, 400, keys=40))
    reader = world.broker.log_reader(world.topic)
    everything = read_to_end(reader)
    reader.close()
    listener = Listener(starts={(world.topic, 0): 5, (world.topic, 1): 1})
    source = join(world, f"group-{uuid4().hex}", listener)
    found = read(source, 394)
    source.close()
    expected = {(m.partition, m.offset) for m in everything} - {(0, n) for n in range(5)} - {(1, 0)}
    assert {(m.partition, m.offset) for m in found} == expected
    assert len(found) == len(expected)


def test_what_was_committed_does_not_move_the_start(world: World) -> None:
    group = f"group-{uuid4().hex}"
    send(world.broker, numbered(world.topic, 20))
    first = join(world, group, Listener())
    found = read(first, 20)
    first.commit({(m.topic, m.partition): m.offset + 1 for m in found})
    first.close()
    second = join(world, group, Listener())
    assert len(read(second, 20)) == 20
    second.close()


def test_a_commit_can_be_seen_by_whoever_measures_lag(world: World) -> None:
    group = f"group-{uuid4().hex}"
    send(world.broker, numbered(world.topic, 20, keys=1))
    source = join(world, group, Listener())
    last = read(source, 20)[-1]
    source.commit({(last.topic, last.partition): last.offset + 1})
    source.commit({})
    source.close()
    assert world.committed(group, (last.topic, last.partition)) == 20


def test_a_source_knows_how_much_is_unread(world: World, joined: tuple[Source, Listener]) -> None:
    source, _ = joined
    send(world.broker, numbered(world.topic, 30))
    given, deadline = read(source, 1), time.monotonic() + 60
    while source.unread() != 30 - len(given):  # of each partition, the first fetch tells its end
        assert time.monotonic() < deadline
        given.extend(source.poll(max_messages=1, timeout_seconds=0.2))
    assert len(given) + len(read(source, 30 - len(given))) == 30
    assert source.unread() == 0


def test_a_group_shares_the_partitions_and_reads_every_message(world: World) -> None:
    group = f"group-{uuid4().hex}"
    members = [(join(world, group, listener), listener) for listener in (Listener(), Listener())]
    assert poll_until_shared(members) == []
    assert not members[0][1].owned & members[1][1].owned
    send(world.broker, numbered(world.topic, 200, keys=40))
    shares: list[list[Message]] = [[], []]
    deadline = time.monotonic() + 60
    while sum(map(len, shares)) < 200 and time.monotonic() < deadline:
        for (source, _), share in zip(members, shares, strict=True):
            share.extend(source.poll(max_messages=50, timeout_seconds=0.1))
    assert len({(m.partition, m.offset) for share in shares for m in share}) == 200
    for (source, listener), share in zip(members, shares, strict=True):
        assert {(m.topic, m.partition) for m in share} <= listener.owned
        source.close()


def test_a_newcomer_takes_only_what_was_revoked_before(world: World) -> None:
    group = f"group-{uuid4().hex}"
    send(world.broker, numbered(world.topic, 100, keys=40))
    old = Listener()
    first = join(world, group, old)
    assert len(read(first, 100)) == 100
    new = Listener(starts={(world.topic, number): 10**6 for number in range(PARTITIONS)})
    reader = world.broker.log_reader(world.topic)
    new.starts = reader.end_offsets()
    reader.close()
    second = join(world, group, new)
    assert poll_until_shared([(first, old), (second, new)]) == [], "what stays is not read again"
    revoked = {partition for what, partitions in old.told if what == "revoked" for partition in partitions}
    assert new.owned
    assert new.owned <= revoked
    first.close()
    second.close()


def test_who_leaves_is_told_of_its_partitions_and_the_others_take_them_over(world: World) -> None:
    group = f"group-{uuid4().hex}"
    members = [(join(world, group, listener), listener) for listener in (Listener(), Listener())]
    poll_until_shared(members)
    leaver, listener = members[0]
    owned = sorted(listener.owned)
    leaver.close()
    assert listener.told[-1] == ("revoked", owned)
    stayer, stays = members[1]
    deadline = time.monotonic() + 60
    while len(stays.owned) < PARTITIONS and time.monotonic() < deadline:
        stayer.poll(max_messages=10, timeout_seconds=0.1)
    assert len(stays.owned) == PARTITIONS
    stayer.close()


def test_a_listener_that_fails_fails_the_poll(world: World) -> None:
    def refuse(partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        raise RuntimeError(f"no database for {len(partitions)} partitions")

    listener = Listener()
    source = world.broker.source(f"group-{uuid4().hex}")
    source.subscribe([world.topic], assigned=refuse, revoked=listener.revoked, lost=listener.lost)
    with pytest.raises(RuntimeError, match="no database"):
        read(source, 1)
    source.close()


def test_a_paused_partition_gives_nothing_until_it_is_resumed_and_then_everything(
    world: World, joined: tuple[Source, Listener]
) -> None:
    source, listener = joined
    send(world.broker, numbered(world.topic, 100, keys=40))
    first = source.poll(max_messages=10, timeout_seconds=20) or read(source, 1)
    source.pause(sorted(listener.owned))
    assert source.poll(max_messages=100, timeout_seconds=0.5) == []
    send(world.broker, numbered(world.topic, 100, keys=40))
    assert source.poll(max_messages=100, timeout_seconds=0.5) == []
    source.resume(sorted(listener.owned))
    rest = read(source, 200 - len(first))
    offsets: dict[int, list[int]] = {}
    for message in [*first, *rest]:
        offsets.setdefault(message.partition, []).append(message.offset)
    assert sum(map(len, offsets.values())) == 200
    assert all(found == list(range(len(found))) for found in offsets.values())


def test_one_paused_partition_does_not_hold_up_the_others(world: World, joined: tuple[Source, Listener]) -> None:
    source, listener = joined
    poll_until_shared([joined])
    source.pause([(world.topic, 0)])
    send(world.broker, numbered(world.topic, 200, keys=40))
    reader = world.broker.log_reader(world.topic)
    ends = reader.end_offsets()
    reader.close()
    found = read(source, 200 - ends[world.topic, 0])
    assert {m.partition for m in found} == {1, 2, 3}
    source.resume(sorted(listener.owned))
    assert len(read(source, ends[world.topic, 0])) == ends[world.topic, 0]
