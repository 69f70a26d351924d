"""Previews of proposals and live numbers: over the same users, read models and draw as preparations, changing nothing.

Live numbers are kept fresh by `run` while somebody edits; without it they are counted when they are asked for first.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from logging import getLogger
from threading import Event
from typing import Final

from sqlalchemy import Engine

from audience.conditions_sql import require_columns
from audience.counts import parsed
from audience.errors import AudienceError
from audience.estimate import BASE_RATE
from audience.live import LiveNumbers
from audience.preview import GroupPreview, LiveAnswer, Preview, SharedNow, Told
from audience.users_table import UsersTable
from commands.preparation import PreparationCommands
from consumers.preparation_draw import PreparationDraw
from consumers.user_group_counting import UserGroupCounting
from domain.allocation.audience_counts import Audience
from domain.conditions_text import filters_in
from domain.errors import SettingsAreFinal
from domain.lifecycle import readable
from domain.settings import parse_proposal
from domain.split_test import SettingsGroup, SplitTest, Status
from domain.user_group_life import read_conditions
from projections import current_settings
from projections.current_settings import OpenTest
from usersplit.conditions import Catalog, Conditions, ConditionsError, parse

_LOOK_EVERY_SECONDS: Final = 2.0
_EDITING: Final = timedelta(minutes=10)
"""So long after a question somebody may ask the next one."""
_REFRESH_AFTER: Final = timedelta(minutes=1)
_PAUSE_PER_WORK: Final = 20
"""Of the users' database's time, the background takes one part in so many at most."""

_log = getLogger(__name__)


class AudienceOfUsers:
    """An `audience.preview.AudienceService` over a users table.

    Args:
        engine: the database of the read models.
        catch_up: brings the read models up to the event log.
        catalog: the filters that conditions may use.
        users: maps them to columns.
        tests: loads split tests.
        draw: draws as the preparer does.
        counting: counts user groups as the estimator does.
        live: keeps counts for edits.
        now: the clock.
        default_base_rate: for previews that name none.
    """

    def __init__(  # noqa: PLR0913 - the ports of a service, wired by name
        self,
        *,
        engine: Engine,
        catch_up: Callable[[], object],
        catalog: Catalog,
        users: UsersTable,
        tests: PreparationCommands,
        draw: PreparationDraw,
        counting: UserGroupCounting,
        live: LiveNumbers,
        now: Callable[[], datetime],
        default_base_rate: float = BASE_RATE,
    ) -> None:
        self._engine = engine
        self._catch_up = catch_up
        self._catalog = catalog
        self._users = users
        self._tests = tests
        self._draw = draw
        self._counting = counting
        self._live = live
        self._now = now
        self._default_base_rate = default_base_rate
        self._watched: Mapping[str, Conditions] | None = None
        self._asked_at: datetime | None = None

    def live_numbers(
        self,
        conditions: object,
        *,
        key: str = "",
        type: str = "",  # noqa: A002 - the glossary's word
        starts_at: datetime | None = None,
        ends_at: datetime | None = None,
    ) -> LiveAnswer:
        """See `AudienceService.live_numbers`."""
        asked = parse(conditions, self._catalog)
        require_columns(asked, self._users)
        self._asked_at = self._now()
        tests = {each.key: each for each in self._open_tests()}
        if self._watched is None:
            self._watch(tests)
        numbers = self._live.numbers(asked)
        shared = [
            SharedNow(key=other.key, users=users, is_same_type=bool(type) and other.type == type)
            for name, users in numbers.shared.items()
            if users and name != key and (other := tests.get(name)) is not None and other.meets(starts_at, ends_at)
        ]
        return LiveAnswer(
            users=numbers.users,
            shared=sorted(shared, key=lambda each: (-each.users, each.key)),
            as_of=numbers.as_of,
            assumed_filters=numbers.assumed,
        )

    def preview(
        self,
        key: str,
        proposal: object,
        *,
        type: str = "web",  # noqa: A002 - the glossary's word
        base_rate: float | None = None,
        told: Told | None = None,
    ) -> Preview:
        """See `AudienceService.preview`."""
        wanted = parse_proposal(proposal, self._catalog)
        found, _ = self._tests.load(key)
        test = SplitTest(key=key, type=type) if found is None or found.status is Status.DISCARDED else found
        if test.status in {Status.FINISHED, Status.REJECTED}:
            raise SettingsAreFinal(key, readable(test.status))
        group = SettingsGroup(
            number=test.last_settings_group + 1,
            starts_at=wanted.starts_at,
            ends_at=wanted.ends_at,
            conditions=wanted.conditions_text,
            filters=wanted.filters,
            variants=wanted.variants,
            reshuffle=wanted.reshuffle,
        )
        rate = self._default_base_rate if base_rate is None else base_rate
        drawn = self._draw.draw(test, group, told or _tell_nobody, base_rate=rate)
        return Preview(
            settings_group=group.number,
            variants=drawn.variants,
            overlaps=drawn.overlaps,
            kept_groups=drawn.kept_groups,
            moved=drawn.moved,
            assumed_filters=drawn.assumed_filters,
            base_rate=rate,
            users=drawn.users or 0,
        )

    def preview_group(self, key: str, conditions: object) -> GroupPreview:
        """See `AudienceService.preview_group`."""
        wanted = read_conditions(conditions, self._catalog)
        counted = self._counting.count(key, conditions=wanted.text, filters=filters_in(wanted.conditions))
        if counted is None:
            return GroupPreview(users=0, shared=(), assumed_filters=())
        return GroupPreview(users=counted.users, shared=counted.shared, assumed_filters=counted.assumed_filters)

    def run(self, stop: Event) -> None:
        """Keep the numbers fresh while somebody edits, until `stop` is set. Errors are logged; old numbers stay."""
        next_refresh = self._now()
        while not stop.wait(_LOOK_EVERY_SECONDS):
            began = self._now()
            if self._asked_at is None or began - self._asked_at > _EDITING:
                continue
            try:
                is_other = self._watch({each.key: each for each in self._open_tests()})
                if not is_other and began < next_refresh:
                    continue
                self._live.refresh()
            except Exception:  # noqa: BLE001 - whatever it is, old numbers with their moment beat none
                _log.exception("live numbers are not refreshed; those of before stay")
            took = self._now() - began
            next_refresh = self._now() + max(_REFRESH_AFTER, _PAUSE_PER_WORK * took)

    def _open_tests(self) -> list[OpenTest]:
        """Return the tests that others may be told of."""
        self._catch_up()
        with self._engine.connect() as connection:
            return [test for test in current_settings.open_tests(connection) if test.status != "draft"]

    def _watch(self, tests: Mapping[str, OpenTest]) -> bool:
        """Count users shared with `tests` from the next refresh on; return whether these are others than before."""
        watched = {key: read for key, test in tests.items() if (read := self._countable(test)) is not None}
        if watched == self._watched:
            return False
        self._watched = watched
        self._live.watch(watched)
        return True

    def _countable(self, test: OpenTest) -> Conditions | None:
        try:
            read = parsed(Audience(key=test.key, conditions=test.conditions, filters=test.filters))
            require_columns(read, self._users)
        except (AudienceError, ConditionsError):
            return None
        return read


def _tell_nobody(step: str, detail: str) -> None:
    del step, detail
