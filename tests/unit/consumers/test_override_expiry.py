"""What QA overrode ends by itself: once, as a fact, and whatever else happens to the unit."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any

import pytest
from sqlalchemy import Engine

from commands.execution import Request
from commands.overrides import OverrideCommands
from consumers.override_expiry import OverrideExpiry
from domain.people import Actor
from events.errors import DatabaseUnavailable, VersionConflict
from events.facts import REGISTRY
from events.override_facts import OverridesExpired, override_stream
from events.store import Appended
from projections import overrides
from tests.support.histories import KEY, running
from tests.support.read_models import ReadModels

NOW = datetime(2026, 5, 3, 12, tzinfo=UTC)
QA = Request(actor=Actor(name="vera", may_override=True))


class House:
    """Commands and the expiry over one database, by a clock that is moved by hand."""

    def __init__(self, engine: Engine) -> None:
        self.now = NOW
        self.models = ReadModels(engine, projections=[overrides.PROJECTION])
        self.commands = OverrideCommands(store=self.models.store, registry=REGISTRY, now=lambda: self.now)
        self.expiry = OverrideExpiry(engine=engine, commands=self.commands, now=lambda: self.now)
        self.models.given(*running())

    def force(self, unit: str, days: int) -> None:
        until = self.now + timedelta(days=days)
        self.commands.force(QA, unit=unit, environment="devel", key=KEY, variant="red", until=until)
        self.models.projector.catch_up()

    def facts(self, unit: str) -> list[Any]:
        events = self.models.store.read_stream(override_stream("devel", unit))
        return [REGISTRY.decode(event.encoded) for event in events]


@pytest.fixture
def house(sqlite_database: Engine) -> House:
    return House(sqlite_database)


def test_an_override_is_taken_out_when_its_time_is_over_and_no_sooner(house: House) -> None:
    house.force("user:1", days=1)
    house.force("user:2", days=2)
    assert house.expiry.step() == 0

    house.now = NOW + timedelta(days=1)
    assert house.expiry.step() == 1
    assert house.facts("user:1")[1:] == [
        OverridesExpired(unit="user:1", environment="devel", keys=(KEY,), disabling=False)
    ]
    assert len(house.facts("user:2")) == 1


def test_a_read_model_that_lags_behind_leads_to_no_second_fact(house: House) -> None:
    house.force("user:1", days=1)
    house.now = NOW + timedelta(days=1)

    assert (house.expiry.step(), house.expiry.step()) == (1, 0)
    house.models.projector.catch_up()
    assert house.expiry.step() == 0
    with house.models.engine.connect() as connection:
        assert overrides.forced(connection) == []


def test_one_that_was_renewed_meanwhile_stays(house: House) -> None:
    house.force("user:1", days=1)
    house.now = NOW + timedelta(days=1)
    house.commands.force(QA, unit="user:1", environment="devel", key=KEY, variant="red", until=None)

    assert house.expiry.step() == 0


def test_a_conflict_over_one_unit_does_not_keep_the_others(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.force("user:1", days=1)
    house.force("user:2", days=1)
    house.now = NOW + timedelta(days=1)
    expire = house.commands.expire

    def conflicting(*, unit: str, environment: str) -> Appended | None:
        if unit == "user:1":
            raise VersionConflict(unit, 1, 2)
        return expire(unit=unit, environment=environment)

    monkeypatch.setattr(house.commands, "expire", conflicting)
    assert house.expiry.step() == 1
    assert len(house.facts("user:2")) == 2


def test_a_database_that_is_away_is_asked_again(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    stop = Event()
    answers: Iterator[Any] = iter([DatabaseUnavailable("gone"), 0])
    patient = OverrideExpiry(engine=house.models.engine, commands=house.commands, now=lambda: NOW, every_seconds=0.001)

    def step() -> int:
        answer = next(answers, None)
        if answer is None:
            stop.set()
            return 0
        if isinstance(answer, Exception):
            raise answer
        return int(answer)

    monkeypatch.setattr(patient, "step", step)
    patient.run(stop)
    assert next(answers, "all were asked") == "all were asked"
