from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from commands.aggregates import SPLIT_TESTS
from commands.execution import Execution
from commands.preparation import PREPARER, PreparationCommands
from commands.split_tests import Request, SplitTestCommands
from domain.errors import (
    KeyTaken,
    NothingChanges,
    RuleBroken,
    SettingsGroupSuperseded,
    SplitTestNotFound,
    TransitionNotAllowed,
)
from domain.settings_errors import EndlessTest
from events.errors import CommandIdReused, VersionConflict
from events.facts import (
    REGISTRY,
    CodeDeployed,
    SettingsGroupPreparationFailed,
    SettingsGroupPrepared,
    SplitTestCreated,
    SplitTestFact,
    SplitTestPublished,
    split_test_stream,
)
from events.memory_store import MemoryEventStore
from events.store import Appended, EventStore, Provenance, recorded
from tests.unit.domain.histories import (
    ANNA,
    BORIS,
    CREATED,
    DRAFT,
    FAILED,
    IN_DEV,
    KEY,
    PAUSED,
    PREPARED,
    PROPOSED,
    READY,
    RUNNING,
    STRANGER,
    SUPERUSER,
)
from usersplit.conditions import Catalog, UnknownFilter

NOW = datetime(2026, 5, 15, 12, tzinfo=UTC)
DOCUMENT: dict[str, object] = {
    "starts_at": "2026-05-01",
    "ends_at": "2026-07-01",
    "conditions": [],
    "variants": [{"name": "control", "percent": 5, "control": True}, {"name": "green", "percent": 5}],
}


class House:
    """The commands over a store in memory."""

    def __init__(self, *history: SplitTestFact, store: EventStore | None = None) -> None:
        self.store = store or MemoryEventStore(REGISTRY)
        self.commands = SplitTestCommands(store=self.store, registry=REGISTRY, catalog=Catalog(), now=lambda: NOW)
        self.preparation = PreparationCommands(store=self.store, registry=REGISTRY, now=lambda: NOW)
        self.given = len(history)
        if history:
            provenance = Provenance(actor="anna", recorded_at=NOW)
            self.store.append(split_test_stream(KEY), history, expected_version=0, provenance=provenance)

    def appended(self) -> list[Any]:
        """The facts that commands appended after the given ones."""
        events = self.store.read_stream(split_test_stream(KEY), after_version=self.given)
        return [REGISTRY.decode(event.encoded) for event in events]


def test_a_command_appends_its_facts_with_who_and_when() -> None:
    house = House()
    answer = house.commands.create(
        Request(actor=ANNA, command_id="c1"), key=KEY, name="Green button", managers=["boris"]
    )
    event = recorded(house.store.read_stream(split_test_stream(KEY))[0], REGISTRY)
    assert (event.fact, event.actor, event.recorded_at) == (CREATED, "anna", NOW)
    assert answer == Appended(stream=split_test_stream(KEY), version=1, position=1)


STEPS: list[tuple[tuple[SplitTestFact, ...], str, Callable[[SplitTestCommands, Request], Appended | None]]] = [
    (DRAFT, "PropertiesEdited", lambda do, who: do.edit_properties(who, KEY, {"name": "Greener"})),
    (DRAFT, "ManagersChanged", lambda do, who: do.change_managers(who, KEY, add=["clara"], remove=["boris"])),
    (DRAFT, "SettingsGroupProposed", lambda do, who: do.propose_settings(who, KEY, DOCUMENT)),
    (
        (CREATED, PROPOSED, FAILED),
        "SettingsGroupPreparationRetried",
        lambda do, who: do.retry_preparation(who, KEY),
    ),
    (READY, "SplitTestPublished", lambda do, who: do.publish(who, KEY)),
    (READY, "DraftDiscarded", lambda do, who: do.discard(who, KEY)),
    (IN_DEV, "SplitTestUnpublished", lambda do, who: do.unpublish(who, KEY)),
    (
        IN_DEV,
        "CodeDeployed",
        lambda do, who: do.record_code_deployed(who, KEY, hit_id="1", occurred_at=NOW, app="a", host="h"),
    ),
    (IN_DEV, "SplitTestStarted", lambda do, who: do.start(who, KEY)),
    (RUNNING, "SplitTestPaused", lambda do, who: do.pause(who, KEY)),
    (PAUSED, "SplitTestResumed", lambda do, who: do.resume(who, KEY)),
    (
        RUNNING,
        "SplitTestFinished",
        lambda do, who: do.finish(who, KEY, resulting_variant="green", scope="worldwide"),
    ),
    (RUNNING, "SplitTestRejected", lambda do, who: do.reject(who, KEY)),
]


@pytest.mark.parametrize(("history", "fact_name", "command"), STEPS)
def test_every_command_appends_its_fact_and_answers_a_replay_with_the_first_answer(
    history: tuple[SplitTestFact, ...],
    fact_name: str,
    command: Callable[[SplitTestCommands, Request], Appended | None],
) -> None:
    house = House(*history)
    who = Request(actor=ANNA, command_id="c1", expected_version=len(history))
    first = command(house.commands, who)
    assert [type(fact).__name__ for fact in house.appended()] == [fact_name]
    assert first is not None
    assert command(house.commands, who) == replace(first, replayed=True)
    assert len(house.appended()) == 1


@pytest.mark.parametrize(("history", "fact_name", "command"), STEPS)
def test_no_command_appends_to_a_version_that_the_person_did_not_see(
    history: tuple[SplitTestFact, ...],
    fact_name: str,
    command: Callable[[SplitTestCommands, Request], Appended | None],
) -> None:
    del fact_name
    house = House(*history)
    with pytest.raises(VersionConflict):
        command(house.commands, Request(actor=ANNA, expected_version=len(history) - 1))
    assert house.appended() == []


def test_the_replay_of_a_creation_does_not_find_its_own_key_taken() -> None:
    house = House()
    who = Request(actor=ANNA, command_id="c1")
    first = house.commands.create(who, key=KEY, name="Green button")
    assert house.commands.create(who, key=KEY, name="Green button").version == first.version
    with pytest.raises(KeyTaken):
        house.commands.create(replace(who, command_id="c2"), key=KEY, name="Green button")


@pytest.mark.parametrize(
    "other",
    [
        lambda do: do.create(Request(actor=ANNA, command_id="c1"), key=KEY, name="Another name"),
        lambda do: do.create(Request(actor=BORIS, command_id="c1"), key=KEY, name="Green button"),
        lambda do: do.create(Request(actor=ANNA, command_id="c1"), key="other", name="Green button"),
        lambda do: do.discard(Request(actor=ANNA, command_id="c1"), KEY),
    ],
    ids=["arguments", "actor", "key", "command"],
)
def test_a_command_id_cannot_be_used_for_another_command(other: Callable[[SplitTestCommands], Appended]) -> None:
    house = House()
    house.commands.create(Request(actor=ANNA, command_id="c1"), key=KEY, name="Green button")
    with pytest.raises(CommandIdReused):
        other(house.commands)
    assert len(house.appended()) == 1


def test_a_stranger_learns_nothing_of_a_draft_from_a_conflict_of_versions() -> None:
    with pytest.raises(SplitTestNotFound):
        House(*DRAFT).commands.publish(Request(actor=STRANGER, expected_version=7), KEY)


def test_a_stranger_learns_nothing_of_a_draft_from_a_wrong_proposal() -> None:
    with pytest.raises(SplitTestNotFound):
        House(*DRAFT).commands.propose_settings(Request(actor=STRANGER), KEY, {})


@pytest.mark.parametrize(
    ("document", "error"),
    [
        ({"starts_at": "2026-05-01"}, EndlessTest),
        (DOCUMENT | {"conditions": [{"filter": "age", "operator": "eq", "value": 5}]}, UnknownFilter),
    ],
)
def test_a_refused_command_appends_nothing_and_keeps_its_id_free(
    document: dict[str, object], error: type[Exception]
) -> None:
    house = House(*DRAFT)
    who = Request(actor=ANNA, command_id="c1")
    with pytest.raises(error):
        house.commands.propose_settings(who, KEY, document)
    assert house.appended() == []
    assert not house.commands.propose_settings(who, KEY, DOCUMENT).replayed


def test_a_command_without_an_id_is_decided_anew() -> None:
    house = House(*RUNNING)
    house.commands.pause(Request(actor=SUPERUSER), KEY)
    with pytest.raises(TransitionNotAllowed):
        house.commands.pause(Request(actor=SUPERUSER), KEY)


class BusyStore(MemoryEventStore):
    """A store to which somebody else always writes between a reader's look and its append."""

    def read_stream(self, stream: str, *, after_version: int = 0) -> Any:
        events = super().read_stream(stream, after_version=after_version)
        seen = list(events)
        if seen:
            provenance = Provenance(actor="boris", recorded_at=NOW)
            self.append(stream, [SplitTestPublished(key=KEY)], expected_version=seen[-1].version, provenance=provenance)
        return seen


def test_a_command_decided_on_an_older_version_is_a_conflict() -> None:
    house = House(*RUNNING, store=BusyStore(REGISTRY))
    with pytest.raises(VersionConflict):
        house.commands.pause(Request(actor=ANNA), KEY)


def deployed(house: House) -> Appended | None:
    return house.commands.record_code_deployed(
        Request(actor=PREPARER), KEY, hit_id="1", occurred_at=NOW, app="", host=""
    )


@pytest.mark.parametrize("history", [(), DRAFT, RUNNING])
def test_hits_of_tests_that_are_not_in_dev_leave_nothing_to_record(history: tuple[SplitTestFact, ...]) -> None:
    house = House(*history)
    assert deployed(house) is None
    assert house.appended() == []


def test_the_code_is_deployed_once() -> None:
    house = House(*IN_DEV)
    assert deployed(house) is not None
    assert deployed(house) is None
    assert house.appended() == [CodeDeployed(key=KEY, hit_id="1", occurred_at=NOW)]


def test_a_discarded_key_begins_again_in_the_same_stream() -> None:
    house = House(*READY)
    house.commands.discard(Request(actor=ANNA), KEY)
    with pytest.raises(SplitTestNotFound):
        house.commands.publish(Request(actor=ANNA), KEY)
    house.commands.create(Request(actor=BORIS), key=KEY, name="Second life")
    house.commands.propose_settings(Request(actor=BORIS), KEY, DOCUMENT)
    created, proposed = house.appended()[1:]
    assert isinstance(created, SplitTestCreated)
    assert proposed.settings_group == 2


def test_the_system_records_what_was_prepared() -> None:
    house = House(CREATED, PROPOSED)
    house.preparation.record_prepared(
        KEY,
        settings_group=1,
        seed=7,
        as_of_position=2,
        variants=PREPARED.variants,
        overlaps=(),
        expected_version=2,
    )
    assert house.appended() == [PREPARED]
    assert house.store.read(after=2, limit=1)[0].actor == "preparer"


def test_the_system_records_why_nothing_was_prepared() -> None:
    house = House(CREATED, PROPOSED)
    house.preparation.record_failed(KEY, settings_group=1, reason="away", expected_version=2)
    assert house.appended() == [SettingsGroupPreparationFailed(key=KEY, settings_group=1, reason="away")]


@pytest.mark.parametrize(
    ("history", "expected_version", "error"),
    [
        ((CREATED, PROPOSED), 1, VersionConflict),
        ((CREATED, PROPOSED, PREPARED), 3, SettingsGroupSuperseded),
        ((), 0, SettingsGroupSuperseded),
    ],
)
def test_what_was_prepared_for_another_version_is_not_recorded(
    history: tuple[SplitTestFact, ...], expected_version: int, error: type[Exception]
) -> None:
    house = House(*history)
    with pytest.raises(error):
        house.preparation.record_failed(KEY, settings_group=1, reason="away", expected_version=expected_version)
    assert house.appended() == []


def test_the_same_settings_are_refused_after_they_went_through_the_log() -> None:
    house = House(*DRAFT)
    house.commands.propose_settings(Request(actor=ANNA), KEY, DOCUMENT)
    with pytest.raises(NothingChanges):
        house.commands.propose_settings(Request(actor=ANNA), KEY, DOCUMENT)


def test_every_refusal_of_a_rule_is_one_family() -> None:
    assert issubclass(EndlessTest, RuleBroken)
    assert not issubclass(VersionConflict, RuleBroken)


def test_loading_a_test_that_never_was_gives_version_0() -> None:
    execution = Execution(SPLIT_TESTS, store=MemoryEventStore(REGISTRY), registry=REGISTRY, now=lambda: NOW)
    assert execution.load("nothing") == (None, 0)


def test_a_prepared_fact_is_what_the_state_is_made_of() -> None:
    house = House(*READY)
    state, version = house.preparation.load(KEY)
    assert version == 3
    assert state is not None
    assert state.current is not None
    assert isinstance(READY[2], SettingsGroupPrepared)
    assert state.current.prepared == READY[2].variants
