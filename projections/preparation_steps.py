"""Where the preparation of each test's settings group is, for whoever waits for it: a row a test, written by preparers.

This table is no read model of facts: it says what a process is doing, and nothing is lost with it. A preparer that was
killed leaves its last row behind, until the preparation is begun again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, TypeAlias

from sqlalchemy import Column, Connection, Integer, MetaData, Row, Table, Text, delete, insert, select

from events.database import UtcDateTime

PreparationStep: TypeAlias = Literal["waiting", "overlaps", "counted", "split_groups", "prepared", "failed"]

SHARE_DONE: Final[Mapping[str, float]] = {
    "waiting": 0.0,
    "overlaps": 0.1,
    "counted": 0.7,
    "split_groups": 0.95,
    "prepared": 1.0,
    "failed": 1.0,
}
"""About how much of a preparation is over once a step is; counting users takes the most time."""

metadata = MetaData()

table = Table(
    "preparation_steps",
    metadata,
    Column("key", Text, primary_key=True),
    Column("settings_group", Integer, nullable=False),
    Column("step", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("at", UtcDateTime, nullable=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparationProgress:
    """The last step of a preparation.

    Attributes:
        step: the step that is over: `overlaps` (the tests that overlap by dates are known), `counted` (the users),
            `split_groups` (they are drawn), `prepared`, `failed`; `waiting` for another test's preparation.
        detail: what it brought, or the reason of a failure; a sentence without its full stop.
        started_at: the first step's moment.
        at: this step's moment.
    """

    key: str
    settings_group: int
    step: PreparationStep
    detail: str
    started_at: datetime
    at: datetime

    @property
    def share_done(self) -> float:
        """About how much is over, 0 to 1."""
        return SHARE_DONE[self.step]


def tell(
    connection: Connection, key: str, *, settings_group: int, step: PreparationStep, detail: str, at: datetime
) -> None:
    """Write that a step is over. The first step of a settings group, or after its end, starts its time anew."""
    before = of(connection, key)
    goes_on = before is not None and before.settings_group == settings_group and before.share_done < 1
    started_at = before.started_at if before is not None and goes_on and step != "waiting" else at
    connection.execute(delete(table).where(table.c.key == key))
    connection.execute(
        insert(table).values(
            key=key, settings_group=settings_group, step=step, detail=detail, started_at=started_at, at=at
        )
    )


def of(connection: Connection, key: str) -> PreparationProgress | None:
    """Return where the preparation of the test `key` is, or how the last one ended; None: none was ever begun."""
    row = connection.execute(select(table).where(table.c.key == key)).one_or_none()
    return None if row is None else _progress(row)


def under_way(connection: Connection) -> list[PreparationProgress]:
    """Return the preparations that have begun and not ended, the first one first."""
    query = select(table).where(table.c.step.not_in(("prepared", "failed"))).order_by(table.c.started_at, table.c.key)
    return [_progress(row) for row in connection.execute(query)]


def _progress(row: Row[Any]) -> PreparationProgress:
    return PreparationProgress(
        key=row.key,
        settings_group=row.settings_group,
        step=row.step,
        detail=row.detail,
        started_at=row.started_at,
        at=row.at,
    )
