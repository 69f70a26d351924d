"""A preparer and everything that it stands on, for tests of what it does with proposals."""

from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import count
from typing import Any

from sqlalchemy import Engine

from audience.estimate import BASE_RATE
from commands.split_tests import Request, SplitTestCommands
from consumers.preparation_draw import PreparationDraw
from consumers.preparation_inputs import PreparationInputs
from consumers.preparer import Preparer, Progress
from domain.allocation.audience_counts import NobodyCounted
from domain.allocation.balanced import allocate
from domain.people import Actor
from events.facts import (
    REGISTRY,
    SettingsGroupPrepared,
    split_test_stream,
)
from events.sql_store import SqlEventStore
from projections.models import ALL
from projections.projector import Projector
from usersplit.conditions import Catalog

NOW = datetime(2026, 4, 20, tzinfo=UTC)


ANNA = Request(actor=Actor(name="anna"))


def document(
    control: float, red: float, *, starts_at: str = "2026-05-01", ends_at: str = "2026-06-01"
) -> dict[str, Any]:
    variants = [{"name": "control", "percent": control, "control": True}, {"name": "red", "percent": red}]
    return {"starts_at": starts_at, "ends_at": ends_at, "variants": variants}


class House:
    """Everything a preparer stands on: a database with its log and its read models, and people's commands."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.store = SqlEventStore(engine, REGISTRY)
        self.projector = Projector(engine=engine, store=self.store, registry=REGISTRY, projections=ALL)
        self.commands = SplitTestCommands(store=self.store, registry=REGISTRY, catalog=Catalog(), now=lambda: NOW)
        self.seeds = count(1)
        self.steps: list[Progress] = []

    def preparer(self, **ports: Any) -> Preparer:
        catch_up = self.projector.catch_up
        inputs = PreparationInputs(engine=self.engine, catch_up=catch_up, counts=ports.pop("counts", NobodyCounted()))
        draw = PreparationDraw(
            inputs,
            allocate=ports.pop("allocate", allocate),
            seeds=lambda: next(self.seeds),
            base_rate=ports.pop("base_rate", BASE_RATE),
        )
        given: dict[str, Any] = {"progress": self.steps.append, "draw": draw, "catch_up": catch_up}
        return Preparer(engine=self.engine, store=self.store, registry=REGISTRY, now=lambda: NOW, **(given | ports))

    def proposed(self, key: str, proposal: Mapping[str, Any], *, type_: str = "web") -> None:
        self.commands.create(ANNA, key=key, name=key, type=type_)
        self.commands.propose_settings(ANNA, key, proposal)

    def running(self, key: str, proposal: Mapping[str, Any], *, type_: str = "web") -> SettingsGroupPrepared:
        self.proposed(key, proposal, type_=type_)
        assert self.preparer().prepare(key)
        prepared = self.prepared(key)
        self.commands.publish(ANNA, key)
        self.commands.start(ANNA, key)
        return prepared

    def facts(self, key: str) -> list[Any]:
        return [REGISTRY.decode(event.encoded) for event in self.store.read_stream(split_test_stream(key))]

    def prepared(self, key: str) -> SettingsGroupPrepared:
        fact = self.facts(key)[-1]
        assert isinstance(fact, SettingsGroupPrepared)
        return fact


def groups(fact: SettingsGroupPrepared) -> set[int]:
    return {number for variant in fact.variants for number in variant.split_groups}
