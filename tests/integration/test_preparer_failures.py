"""Preparations that fail: what is told to the manager and can be retried, and what is raised and never a fact."""

import threading
from collections.abc import Callable, Sequence

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from consumers.preparer import Progress
from domain.allocation.audience_counts import Audience, AudienceNotCountable, NobodyCounted
from domain.allocation.balanced import allocate
from domain.allocation.request import Allocation, AllocationRequest
from events.errors import DatabaseUnavailable
from events.facts import (
    SettingsGroupPreparationFailed,
)
from tests.support.preparing import ANNA, House, document


@pytest.fixture
def house(sqlite_database: Engine) -> House:
    return House(sqlite_database)


class Uncountable(NobodyCounted):
    """Counts that cannot answer."""

    def counted(self, audience: Audience, others: Sequence[Audience]) -> None:
        del others
        raise AudienceNotCountable(audience.key, "no column holds user_agent")


def test_a_preparation_that_fails_says_why_and_can_be_retried(house: House) -> None:
    house.proposed("button", document(5, 10))
    assert not house.preparer(counts=Uncountable()).prepare("button")
    (failure,) = house.facts("button")[2:]
    assert isinstance(failure, SettingsGroupPreparationFailed)
    assert "no column holds user_agent" in failure.reason
    assert house.steps[-1].step == "failed"
    assert not house.preparer().prepare("button")
    house.commands.retry_preparation(ANNA, "button")
    assert house.preparer().prepare("button")


def broken(error: Exception) -> Callable[[AllocationRequest], Allocation]:
    def allocate_nothing(request: AllocationRequest) -> Allocation:
        del request
        raise error

    return allocate_nothing


@pytest.mark.parametrize("error", [OperationalError("select", {}, Exception("away")), DatabaseUnavailable("away")])
def test_an_outage_is_raised_and_never_becomes_a_fact(house: House, error: Exception) -> None:
    house.proposed("button", document(5, 10))
    with pytest.raises(type(error)):
        house.preparer(allocate=broken(error)).prepare("button")
    assert len(house.facts("button")) == 2
    assert house.preparer().prepare("button")


def test_an_error_of_the_program_is_told_to_the_manager_who_can_retry(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.proposed("button", document(5, 10))
    error = ZeroDivisionError("division by\0 zero\nsecond line")
    assert not house.preparer(allocate=broken(error)).prepare("button")
    failure = house.facts("button")[-1]
    assert isinstance(failure, SettingsGroupPreparationFailed)
    assert "an error of this program (ZeroDivisionError: division by zero); report it" in failure.reason
    assert "Traceback" in caplog.text
    house.commands.retry_preparation(ANNA, "button")
    assert house.preparer().prepare("button")


def test_a_test_that_cannot_be_prepared_holds_up_no_other(house: House) -> None:
    for key in ("first", "poison", "last"):
        house.proposed(key, document(5, 10))

    def allocate_some(request: AllocationRequest) -> Allocation:
        if request.seed == 2:
            raise IndexError
        return allocate(request)

    assert house.preparer(allocate=allocate_some).prepare_all() == 2
    assert [house.prepared(key).settings_group for key in ("first", "last")] == [1, 1]
    assert house.facts("poison")[-1].reason.startswith("an error of this program (IndexError)")


def test_a_failure_that_cannot_be_recorded_is_raised_after_the_others_were_prepared(house: House) -> None:
    for key in ("poison", "last"):
        house.proposed(key, document(5, 10))

    def refuse_the_first(progress: Progress) -> None:
        if progress.key == "poison":
            raise UnicodeError("nobody can be told")

    with pytest.raises(UnicodeError, match="nobody can be told"):
        house.preparer(progress=refuse_the_first).prepare_all()
    assert house.prepared("last").settings_group == 1


class UsersAway(NobodyCounted):
    """The database of users is down, with the very error that an outage of our own database has."""

    def counted(self, audience: Audience, others: Sequence[Audience]) -> None:
        del others
        raise OperationalError("select", {}, Exception(f"no users of {audience.key}"))


def test_an_outage_of_the_users_database_is_a_failure_that_can_be_retried(house: House) -> None:
    for key in ("first", "second"):
        house.proposed(key, document(5, 10))
    assert house.preparer(counts=UsersAway()).prepare_all() == 0
    for key in ("first", "second"):
        assert f"the users of {key} were not counted: OperationalError" in house.facts(key)[-1].reason
        house.commands.retry_preparation(ANNA, key)
    assert house.preparer().prepare_all() == 2


def test_a_running_preparer_prepares_what_waits_and_outlives_an_outage(house: House) -> None:
    house.proposed("first", document(5, 10))
    house.proposed("second", document(5, 10))
    stop = threading.Event()
    outages = [OperationalError("select", {}, Exception("away")), DatabaseUnavailable("away")]

    def catch_up() -> int:
        if outages:
            raise outages.pop()
        with house.engine.connect() as connection:
            connection.execute(text("select 1"))
        return house.projector.catch_up()

    def stop_after_two(progress: Progress) -> None:
        house.steps.append(progress)
        if [step.step for step in house.steps].count("prepared") == 2:
            stop.set()

    house.preparer(catch_up=catch_up, progress=stop_after_two).run(stop, idle_seconds=0.01)
    assert house.prepared("first").settings_group == 1
    assert house.prepared("second").settings_group == 1
