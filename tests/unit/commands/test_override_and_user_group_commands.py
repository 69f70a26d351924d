"""Commands on user groups and overrides: all facts of a command or none, replays answered, who and when recorded."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from commands.execution import Request
from commands.overrides import OverrideCommands
from commands.split_tests import SplitTestCommands
from commands.user_groups import UserGroupCommands
from domain.errors import NotAManager, SplitTestNotFound, UserGroupNotFound
from domain.override_errors import MayNotOverride, WrongEnvironment, WrongUnit
from domain.people import Actor
from events.errors import CommandIdReused, VersionConflict
from events.facts import REGISTRY, split_test_stream
from events.memory_store import MemoryEventStore
from events.override_facts import VariantForced, override_stream
from events.store import Appended, Provenance, recorded
from events.user_group_facts import user_group_stream
from tests.unit.domain.histories import ANNA, RUNNING, STRANGER
from tests.unit.domain.histories import KEY as TEST
from usersplit.conditions import Catalog, UnknownFilter

QA = Actor(name="vera", may_override=True)
GROUP = "premium_users"
NOW = datetime(2026, 5, 3, 12, tzinfo=UTC)
UNKNOWN = [{"filter": "gone", "operator": "eq", "value": "1"}]
PLACE: dict[str, Any] = {"unit": "user:42", "environment": "devel"}


class House:
    """The commands over a store in memory that holds a running test, by a clock that can be moved."""

    def __init__(self) -> None:
        self.now = NOW
        self.store = MemoryEventStore(REGISTRY)
        self.store.append(
            split_test_stream(TEST), RUNNING, expected_version=0, provenance=Provenance(actor="anna", recorded_at=NOW)
        )
        parts: dict[str, Any] = {"store": self.store, "registry": REGISTRY, "now": lambda: self.now}
        self.split_tests = SplitTestCommands(catalog=Catalog(), **parts)
        self.user_groups = UserGroupCommands(catalog=Catalog(), **parts)
        self.overrides = OverrideCommands(**parts)

    def facts(self, stream: str) -> list[str]:
        return [event.encoded.name for event in self.store.read_stream(stream)]

    def active_group(self) -> None:
        who = Request(actor=ANNA)
        self.user_groups.create(who, key=GROUP, name="Premium", managers=["boris"])
        self.user_groups.propose_conditions(who, GROUP, [])
        self.user_groups.activate(who, GROUP)


def test_a_user_group_goes_through_its_whole_life() -> None:
    house = House()
    house.active_group()
    who = Request(actor=ANNA)
    house.user_groups.edit(who, GROUP, {"description": "Who pays"})
    house.user_groups.change_managers(who, GROUP, add=["clara"], remove=["boris"])
    house.user_groups.switch_off(who, GROUP)
    house.user_groups.discard(who, GROUP)

    assert house.facts(user_group_stream(GROUP)) == [
        "UserGroupCreated",
        "UserGroupConditionsChanged",
        "UserGroupActivated",
        "UserGroupEdited",
        "UserGroupManagersChanged",
        "UserGroupSwitchedOff",
        "UserGroupDiscarded",
    ]


def test_a_user_group_and_a_split_test_may_have_the_same_key() -> None:
    house = House()
    house.user_groups.create(Request(actor=ANNA), key=TEST, name="Premium")

    assert house.facts(split_test_stream(TEST))[0] == "SplitTestCreated"
    assert house.facts(user_group_stream(TEST)) == ["UserGroupCreated"]


def test_a_stranger_learns_nothing_of_a_draft_from_a_conflict_of_versions() -> None:
    house = House()
    house.user_groups.create(Request(actor=ANNA), key=GROUP, name="Premium")

    with pytest.raises(UserGroupNotFound):
        house.user_groups.discard(Request(actor=STRANGER, expected_version=9), GROUP)
    with pytest.raises(VersionConflict):
        house.user_groups.discard(Request(actor=ANNA, expected_version=9), GROUP)


def test_what_is_refused_changes_nothing() -> None:
    house = House()
    house.active_group()
    head = house.store.head()
    refused: list[tuple[type[Exception], Callable[[], Any]]] = [
        (NotAManager, lambda: house.user_groups.switch_off(Request(actor=STRANGER), GROUP)),
        (
            UnknownFilter,
            lambda: house.user_groups.propose_conditions(
                Request(actor=ANNA), GROUP, [{"filter": "x", "operator": "eq", "value": "1"}]
            ),
        ),
        (MayNotOverride, lambda: house.overrides.disable_tests(Request(actor=STRANGER), **PLACE)),
        (SplitTestNotFound, lambda: house.overrides.force(Request(actor=QA), **PLACE, key="gone", variant="green")),
        (SplitTestNotFound, lambda: house.overrides.force(Request(actor=QA), **PLACE, key="\ud800", variant=None)),
        (WrongUnit, lambda: house.overrides.forget(Request(actor=QA), unit="user:\ud800", environment="devel")),
        (WrongEnvironment, lambda: house.overrides.forget(Request(actor=QA), unit="user:1", environment="de/vel")),
    ]
    for error, command in refused:
        with pytest.raises(error):
            command()

    assert house.store.head() == head


def test_each_unit_has_a_stream_of_its_own_in_each_environment() -> None:
    house = House()
    who = Request(actor=QA)
    house.overrides.force(who, **PLACE, key=TEST, variant="green")
    house.overrides.disable_tests(who, unit="user:42", environment="production")
    house.overrides.enable_test(who, unit="user:42", environment="production", key=TEST)
    house.overrides.enable_tests(who, unit="user:42", environment="production")
    house.overrides.forget(who, **PLACE, key=TEST)

    assert house.facts(override_stream("devel", "user:42")) == ["VariantForced", "ForcedVariantForgotten"]
    assert house.facts(override_stream("production", "user:42")) == [
        "SplitTestsDisabled",
        "SplitTestEnabled",
        "SplitTestsEnabledAgain",
    ]


def test_the_log_says_who_forced_what_and_when() -> None:
    house = House()
    until = NOW + timedelta(hours=1)
    answer = house.overrides.force(Request(actor=QA), **PLACE, key=TEST, variant=None, until=until)
    stream = override_stream("devel", "user:42")
    event = recorded(house.store.read_stream(stream)[0], REGISTRY)

    assert answer == Appended(stream=stream, version=1, position=len(RUNNING) + 1)
    assert (event.actor, event.recorded_at) == ("vera", NOW)
    assert event.fact == VariantForced(unit="user:42", environment="devel", key=TEST, variant=None, until=until)


def test_a_replay_gets_the_first_answer_and_another_command_does_not() -> None:
    house = House()
    once = Request(actor=QA, command_id="c1")
    first = house.overrides.force(once, **PLACE, key=TEST, variant="green")
    again = house.overrides.force(once, **PLACE, key=TEST, variant="green")

    assert (again.version, again.position, again.replayed) == (first.version, first.position, True)
    with pytest.raises(CommandIdReused):
        house.overrides.force(once, **PLACE, key=TEST, variant=None)
    with pytest.raises(CommandIdReused):
        house.overrides.force(once, unit="user:42", environment="production", key=TEST, variant="green")


def test_overrides_end_by_themselves_once() -> None:
    house = House()
    house.overrides.force(Request(actor=QA), **PLACE, key=TEST, variant="green")
    assert house.overrides.expire(**PLACE) is None

    house.now = NOW + timedelta(days=7)
    assert house.overrides.expire(**PLACE) is not None
    assert house.overrides.expire(**PLACE) is None
    assert house.facts(override_stream("devel", "user:42")) == ["VariantForced", "OverridesExpired"]
