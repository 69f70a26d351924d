"""Where consumers stand: those of the log by their checkpoints in the database, those of hits by Kafka's own word.

The dimensions keep their offsets in the warehouse, with what they store.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from threading import Lock
from typing import Final, TypeAlias

from sqlalchemy import Connection

from consumers.bi_sink import GROUP as BI_SINK_GROUP
from consumers.code_deployed import GROUP as CODE_DEPLOYED_GROUP
from consumers.notifier import CHECKPOINT as NOTIFIER_CHECKPOINT
from consumers.relay import CHECKPOINT as RELAY_CHECKPOINT
from entrypoints.backbone import Backbone
from events.checkpoints import position_of
from events.store import EventStore
from projections import current_settings, laid_out, overrides, preparation_steps
from streams.groups import ConsumerGroups
from streams.ports import StreamError
from streams.topics import HIT_REPORTS, HITS, LIFECYCLE
from warehouse.errors import WarehouseError
from web.consumer_standings import ConsumerStanding, ConsumerState

_LATE: Final = timedelta(minutes=2)
_IS_IT_RUNNING: Final = "is its process running? Read its log"
_NO_KAFKA: Final = "tell serve where Kafka is (USERSPLIT_KAFKA_BOOTSTRAP_SERVERS) to see it here"
_NO_WAREHOUSE: Final = "tell serve where the warehouse is (USERSPLIT_WAREHOUSE_URL) to see it here"

StoredOffsets: TypeAlias = Callable[[str], Mapping[int, int]]
"""Tells where the readers of a topic go on that store into the warehouse, by partition."""


class ConsumerStandings:
    """Reads where every consumer stands; it waits for the database and for Kafka. Safe to share between threads.

    Args:
        backbone: the log and the read models.
        groups: tells how Kafka's consumer groups stand, None where serve does not know Kafka.
        now: the clock.
        stored: the warehouse's offsets, None where serve does not know the warehouse.
    """

    def __init__(
        self,
        backbone: Backbone,
        groups: ConsumerGroups | None,
        *,
        now: Callable[[], datetime],
        stored: StoredOffsets | None = None,
    ) -> None:
        self._backbone = backbone
        self._groups = groups
        self._now = now
        self._stored = stored
        self._looking = Lock()
        # By topic: the offsets as they were seen last, and since when.
        self._moved: dict[str, tuple[Mapping[int, int], datetime]] = {}

    def read(self) -> Sequence[ConsumerStanding]:
        """Return them, those of the log first."""
        now = self._now()
        with self._backbone.reading() as connection:
            found = [
                _follower(
                    connection, self._backbone.store, now, "relay", "facts and configs to Kafka", RELAY_CHECKPOINT
                ),
                _follower(connection, self._backbone.store, now, "notifier", "tells managers", NOTIFIER_CHECKPOINT),
                _preparer(connection, now),
                _override_expiry(connection, now),
                *_laid_out(connection, now),
            ]
        return [
            *found,
            self._group("bi-sink", "hits into BI", BI_SINK_GROUP),
            self._exported(now, "dimensions", "tests, settings groups and changes into BI", LIFECYCLE, "facts"),
            # One process, two topics: either can be stuck while the other goes on.
            self._exported(
                now, "dimensions (hit reports)", "what servers say of lost hits into BI", HIT_REPORTS, "reports"
            ),
            self._group("code-deployed", "the first production hit of a test becomes a fact", CODE_DEPLOYED_GROUP),
        ]

    def _group(self, name: str, does: str, group: str) -> ConsumerStanding:
        if self._groups is None:
            return ConsumerStanding(name=name, does=does, state="not known", behind=None, unit="hits", advice=_NO_KAFKA)
        try:
            standing = self._groups.standing(group, HITS)
        except StreamError as error:
            return ConsumerStanding(
                name=name, does=does, state="not known", behind=None, unit="hits", advice=str(error)
            )
        state: ConsumerState = "behind" if standing.behind else "up to date"
        if standing.members == 0:
            state = "nobody reads"
        return ConsumerStanding(
            name=name,
            does=does,
            state=state,
            behind=standing.behind,
            unit="hits",
            members=standing.members,
            advice=_IS_IT_RUNNING if state == "nobody reads" else "",
        )

    def _exported(self, now: datetime, name: str, does: str, topic: str, unit: str) -> ConsumerStanding:
        """Return how far a topic is in the warehouse, which keeps its offsets with what it stores."""

        def unknown(why: str) -> ConsumerStanding:
            return ConsumerStanding(name=name, does=does, state="not known", behind=None, unit=unit, advice=why)

        if self._groups is None or self._stored is None:
            return unknown(_NO_KAFKA if self._groups is None else _NO_WAREHOUSE)
        try:
            offsets = self._stored(topic)
            behind = self._groups.unread(topic, offsets)
        except (StreamError, WarehouseError) as error:
            return unknown(str(error))
        with self._looking:
            if topic not in self._moved or offsets != self._moved[topic][0]:
                self._moved[topic] = dict(offsets), now
            moved_at = self._moved[topic][1]
        is_late = bool(behind) and now - moved_at > _LATE
        return ConsumerStanding(
            name=name,
            does=does,
            state="late" if is_late else "behind" if behind else "up to date",
            behind=behind,
            unit=unit,
            since=moved_at if is_late else None,
            advice=_IS_IT_RUNNING if is_late else "",
        )


def _follower(
    connection: Connection, store: EventStore, now: datetime, name: str, does: str, checkpoint: str
) -> ConsumerStanding:
    position, head = position_of(connection, checkpoint), store.head()
    waiting = store.read(after=position, limit=1) if position < head else []
    if not waiting:
        return ConsumerStanding(name=name, does=does, state="up to date", behind=0)
    since = waiting[0].recorded_at
    is_late = now - since > _LATE
    return ConsumerStanding(
        name=name,
        does=does,
        state="late" if is_late else "behind",
        behind=head - position,
        since=since,
        advice=_IS_IT_RUNNING if is_late else "",
    )


def _preparer(connection: Connection, now: datetime) -> ConsumerStanding:
    waiting = len(current_settings.pending(connection))
    steps = preparation_steps.under_way(connection)
    newest = max((step.at for step in steps), default=None)
    is_late = bool(waiting) and newest is not None and now - newest > _LATE
    state: ConsumerState = "late" if is_late else "behind" if waiting else "up to date"
    return ConsumerStanding(
        name="preparer",
        does="counts users and draws split groups",
        state=state,
        behind=waiting,
        unit="settings groups",
        since=min((step.started_at for step in steps), default=None) if waiting else None,
        advice=_IS_IT_RUNNING if is_late else "",
    )


def _override_expiry(connection: Connection, now: datetime) -> ConsumerStanding:
    due = overrides.due(connection, now=now)
    since = due[0].ended_at if due else None
    is_late = since is not None and now - since > _LATE
    return ConsumerStanding(
        name="override-expiry",
        does="takes out overrides whose time is over",
        state="late" if is_late else "behind" if due else "up to date",
        behind=len(due),
        unit="units",
        since=since,
        advice=_IS_IT_RUNNING if is_late else "",
    )


def _laid_out(connection: Connection, now: datetime) -> Iterator[ConsumerStanding]:
    looked = [server.known_at for server in laid_out.servers(connection)]
    if looked:
        is_late = now - max(looked) > _LATE
        yield ConsumerStanding(
            name="laid-out",
            does="what servers have laid out",
            state="late" if is_late else "up to date",
            behind=None if is_late else 0,
            unit="reports",
            since=max(looked) if is_late else None,
            advice=_IS_IT_RUNNING if is_late else "",
        )
