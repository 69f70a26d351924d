"""Messages in runs from a source that gives them one by one."""

from collections.abc import Sequence
from itertools import groupby

from streams.messages import Message, MessageRun
from streams.ports import AssignedListener, PartitionsListener, RunSource, Source


def in_runs(source: Source) -> RunSource:
    """Return `source` itself if it gives runs, else something around it that does."""
    return source if isinstance(source, RunSource) else _GroupingSource(source)


class _GroupingSource:
    """Whatever stands around a source, or is a source for tests, need not know of runs to be drained."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.poll = source.poll
        self.pause = source.pause
        self.resume = source.resume
        self.unread = source.unread
        self.commit = source.commit
        self.close = source.close

    def subscribe(
        self,
        topics: Sequence[str],
        *,
        assigned: AssignedListener,
        revoked: PartitionsListener,
        lost: PartitionsListener,
    ) -> None:
        self._source.subscribe(topics, assigned=assigned, revoked=revoked, lost=lost)

    def poll_runs(self, *, max_messages: int, timeout_seconds: float) -> list[MessageRun]:
        messages = self._source.poll(max_messages=max_messages, timeout_seconds=timeout_seconds)
        return [_run(list(found)) for _, found in groupby(messages, key=lambda one: (one.topic, one.partition))]


def _run(messages: Sequence[Message]) -> MessageRun:
    last = messages[-1]
    return MessageRun(
        topic=last.topic,
        partition=last.partition,
        offsets=[message.offset for message in messages],
        keys=[message.key for message in messages],
        values=[message.value for message in messages],
        last_timestamp_ms=last.timestamp_ms,
    )
