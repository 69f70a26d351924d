"""How consumer groups of Kafka stand. Nobody joins a group to see it.

A group's coordinator is never asked by the admin client's own requests (ListConsumerGroupOffsets,
DescribeConsumerGroups): librdkafka, to 2.16 at least, aborts the whole process when the connection ends under one of
them (confluentinc/librdkafka#4605). A consumer that joins nothing, and the older `list_groups`, ask the same.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka import TopicPartition as KafkaPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]  # its own public name

from streams.groups import GroupStanding
from streams.kafka_errors import logs_errors, made, translated
from streams.ports import BrokerAway, UnknownTopic

_ANSWER_SECONDS: Final = 5.0
_CANNOT_TELL: Final = frozenset(
    {
        KafkaError._UNSUPPORTED_FEATURE,  # noqa: SLF001 - librdkafka's embedded broker, which keeps no list of members
        KafkaError.GROUP_AUTHORIZATION_FAILED,
    }
)


class KafkaGroups:
    """A `streams.groups.ConsumerGroups` over Kafka. `settings` are librdkafka's; nothing is connected yet."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._settings = {**settings, "error_cb": logs_errors("groups")}
        self._admin = made(AdminClient, self._settings)

    def standing(self, group: str, topic: str) -> GroupStanding:
        """See `ConsumerGroups.standing`."""
        partitions = self._partitions(topic)
        unread = self._unread(partitions, self._committed(group, partitions))
        return GroupStanding(behind=unread, members=self._members(group))

    def unread(self, topic: str, offsets: Mapping[int, int]) -> int:
        """See `ConsumerGroups.unread`."""
        return self._unread(self._partitions(topic), offsets)

    def _unread(self, partitions: list[KafkaPartition], offsets: Mapping[int, int]) -> int:
        starts = self._offsets(partitions, OffsetSpec.earliest())  # type: ignore[no-untyped-call]
        ends = self._offsets(partitions, OffsetSpec.latest())  # type: ignore[no-untyped-call]
        # Retention may have taken what was not read: nobody can be behind by that any more.
        return sum(max(end - max(offsets.get(number, 0), starts[number]), 0) for number, end in ends.items())

    def _partitions(self, topic: str) -> list[KafkaPartition]:
        try:
            found = self._admin.list_topics(topic, timeout=_ANSWER_SECONDS).topics[topic]
        except KafkaException as error:
            raise translated(error.args[0], f"looking for the topic {topic}") from error
        if not found.partitions:
            raise UnknownTopic(topic)
        return [KafkaPartition(topic, number) for number in found.partitions]

    def _committed(self, group: str, partitions: list[KafkaPartition]) -> dict[int, int]:
        asking = made(Consumer, {**self._settings, "group.id": group, "enable.auto.commit": False})
        try:
            offsets = _answer(
                lambda: asking.committed(partitions, timeout=_ANSWER_SECONDS),
                f"asking for the offsets of the group {group}",
            )
        finally:
            asking.close()
        for each in offsets:
            if each.error is not None:
                raise translated(each.error, f"asking for the offsets of the group {group}")
        return {each.partition: each.offset for each in offsets}

    def _offsets(self, partitions: list[KafkaPartition], wanted: OffsetSpec) -> dict[int, int]:
        futures = self._admin.list_offsets(dict.fromkeys(partitions, wanted), request_timeout=_ANSWER_SECONDS)
        return {
            partition.partition: _answer(
                partial(future.result, _ANSWER_SECONDS), "asking for the ends of a topic"
            ).offset
            for partition, future in futures.items()
        }

    def _members(self, group: str) -> int | None:
        try:
            found = self._admin.list_groups(group, timeout=_ANSWER_SECONDS)
        except KafkaException as error:
            if error.args[0].code() in _CANNOT_TELL:
                return None
            raise translated(error.args[0], f"asking for the members of the group {group}") from error
        return sum(len(each.members) for each in found)


def _answer(ask: Callable[[], Any], doing: str) -> Any:
    try:
        return ask()
    except KafkaException as error:
        raise translated(error.args[0], doing) from error
    except TimeoutError as error:
        raise BrokerAway(f"{doing}: no answer within {_ANSWER_SECONDS:.0f} seconds") from error
