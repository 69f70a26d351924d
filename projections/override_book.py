"""The overrides that a batch of facts meets, in memory: what each fact changes, and what servers are told.

Overrides and the lives of tests come from different streams and meet here: an override of a test that is over is gone,
one of a variant that the test does not have (any more) is passed over, and servers are never told of a Draft.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from events.facts import SettingsGroupPrepared
from events.override_facts import (
    ForcedVariantForgotten,
    OverridesExpired,
    SplitTestEnabled,
    SplitTestsDisabled,
    SplitTestsEnabledAgain,
    UnitForgotten,
    VariantForced,
)
from events.store import RecordedFact
from projections.json_text import write_json
from projections.rows import KeyedRows, StoredRow
from projections.split_test_facts import STATUS_AFTER

SHOWN: Final = ("in_dev", "running", "paused")
"""The statuses of tests whose variants can be forced."""
_OVER: Final = ("finished", "rejected", "discarded")
_UNSEEN: Final = ("", "draft", "discarded")  # "": nobody has created it, whatever else is said of it

_texts = msgspec.json.Decoder(list[str])


class Place(NamedTuple):
    """One unit in one environment."""

    environment: str
    unit: str


Told: TypeAlias = tuple[Mapping[str, str | None], Sequence[str] | None]
"""What servers are told of a place: what is forced, by test; and which tests are enabled, None if none is disabled."""


def row_key(*parts: str) -> str:
    """Return one text for several, unlike that of any others."""
    return write_json(parts)


class Book:
    """All overrides, with the tests that they and a batch are about.

    Args:
        forced: all rows of forced variants, by `row_key(environment, unit, test)`.
        disabled: all rows of units that take part in no test, by `row_key(environment, unit)`.
        tests: the rows of the tests in question, by key.
    """

    def __init__(self, forced: KeyedRows, disabled: KeyedRows, tests: KeyedRows) -> None:
        self._forced_rows = forced
        self._disabled_rows = disabled
        self._tests = tests
        self._forced: defaultdict[Place, dict[str, StoredRow]] = defaultdict(dict)
        self._disabled: dict[Place, StoredRow] = {}
        self._places_of: defaultdict[str, set[Place]] = defaultdict(set)
        for row in forced.rows():
            self._index_forced(row)
        for row in disabled.rows():
            row["enabled"] = _texts.decode(row["enabled"])
            self._index_disabled(row)

    def take(self, recorded: RecordedFact) -> bool:
        """Take a fact in; True if servers are told something else after it. Total."""
        fact = recorded.fact
        if type(fact) in STATUS_AFTER or isinstance(fact, SettingsGroupPrepared):
            places = sorted(self._places_of.get(fact.key, ()))
            before = [self._told(place) for place in places]
            self._change_test(fact)
            return before != [self._told(place) for place in places]
        place = Place(fact.environment, fact.unit)
        told = self._told(place)
        self._change_place(place, recorded)
        return told != self._told(place)

    def document(self) -> Mapping[str, object]:
        """Return what servers are told of all places, by environment, as documents have it."""
        environments: dict[str, dict[str, dict[str, Any]]] = {
            name: {"forced": {}, "disabled": {}} for name in ("production", "devel")
        }
        for place in sorted(self._forced.keys() | self._disabled.keys()):
            forced, enabled = self._told(place)
            if forced:
                environments[place.environment]["forced"][place.unit] = forced
            if enabled is not None:
                environments[place.environment]["disabled"][place.unit] = {"enabled": enabled}
        return environments

    def _told(self, place: Place) -> Told:
        forced = {
            key: row["variant"]
            for key, row in sorted(self._forced.get(place, {}).items())
            if is_in_force(self._tests.get(key), row["variant"])
        }
        disabled = self._disabled.get(place)
        return forced, None if disabled is None else [key for key in disabled["enabled"] if self._is_seen(key)]

    def _is_seen(self, key: str) -> bool:
        test = self._tests.get(key)
        return test is not None and test["status"] not in _UNSEEN

    def _change_test(self, fact: Any) -> None:
        test = self._tests.get(fact.key) or self._tests.put({"key": fact.key, "status": "", "variants": "[]"})
        if isinstance(fact, SettingsGroupPrepared):
            test["variants"] = write_json([variant.name for variant in fact.variants])
            return
        test["status"] = STATUS_AFTER[type(fact)]
        if test["status"] in _OVER:
            # What a finished test gives is decided; an autotest for which it is enabled should get that, too.
            for place in sorted(self._places_of.get(fact.key, ())):
                self._unforce(place, [fact.key])
                if test["status"] == "discarded" and (row := self._disabled.get(place)) is not None:
                    row["enabled"] = [key for key in row["enabled"] if key != fact.key]
        if test["status"] == "discarded":
            test["variants"] = "[]"
            self._places_of.pop(fact.key, None)

    def _change_place(self, place: Place, recorded: RecordedFact) -> None:
        fact = recorded.fact
        match fact:
            case VariantForced():
                self._force(place, fact, recorded)
            case ForcedVariantForgotten():
                self._unforce(place, [fact.key])
            case SplitTestsDisabled():
                self._disable(place, fact, recorded)
            case SplitTestEnabled():
                self._enable(place, fact.key)
            case SplitTestsEnabledAgain():
                self._enable_all(place)
            case UnitForgotten():
                self._unforce(place, list(self._forced.get(place, ())))
                self._enable_all(place)
            case OverridesExpired():
                self._unforce(place, fact.keys)
                if fact.disabling:
                    self._enable_all(place)

    def _force(self, place: Place, fact: VariantForced, recorded: RecordedFact) -> None:
        test = self._tests.get(fact.key)
        if test is not None and test["status"] in _OVER:
            # It ended while the override was decided.
            self._unforce(place, [fact.key])
            return
        row = {
            "key": row_key(*place, fact.key),
            "environment": fact.environment,
            "unit": fact.unit,
            "test_key": fact.key,
            "variant": fact.variant,
            "until": fact.until,
            "actor": recorded.actor,
            "at": recorded.recorded_at,
            "position": recorded.position,
        }
        self._index_forced(self._forced_rows.put(row))

    def _unforce(self, place: Place, keys: Iterable[str]) -> None:
        for key in keys:
            if self._forced.get(place, {}).pop(key, None) is not None:
                self._forced_rows.remove(row_key(*place, key))

    def _disable(self, place: Place, fact: SplitTestsDisabled, recorded: RecordedFact) -> None:
        row = {
            "key": row_key(*place),
            "environment": fact.environment,
            "unit": fact.unit,
            "enabled": [],
            "until": fact.until,
            "actor": recorded.actor,
            "at": recorded.recorded_at,
            "position": recorded.position,
        }
        self._index_disabled(self._disabled_rows.put(row))

    def _enable(self, place: Place, key: str) -> None:
        row = self._disabled.get(place)
        test = self._tests.get(key)
        if row is not None and not (test is not None and test["status"] == "discarded"):
            row["enabled"] = sorted({*row["enabled"], key})
            self._places_of[key].add(place)

    def _enable_all(self, place: Place) -> None:
        if self._disabled.pop(place, None) is not None:
            self._disabled_rows.remove(row_key(*place))

    def _index_forced(self, row: StoredRow) -> None:
        place = Place(row["environment"], row["unit"])
        self._forced[place][row["test_key"]] = row
        self._places_of[row["test_key"]].add(place)

    def _index_disabled(self, row: StoredRow) -> None:
        place = Place(row["environment"], row["unit"])
        self._disabled[place] = row
        for key in row["enabled"]:
            self._places_of[key].add(place)


def is_in_force(test: StoredRow | None, variant: str | None) -> bool:
    """Return whether servers are told that this variant of the test is forced; None is no variant."""
    if test is None or test["status"] not in SHOWN:
        return False
    return variant is None or variant in _texts.decode(test["variants"])
