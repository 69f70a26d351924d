"""Facts become bytes and come back, whatever program wrote them and whatever was done to them since."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import errors
from events.errors import CorruptPayload, EventsError, UnknownFact, UnreadableFact, UnregisteredFact
from events.facts import (
    REGISTRY,
    CodeDeployed,
    Fact,
    Moment,
    Overlap,
    OverrideFact,
    ProposedVariant,
    SplitTestCreated,
    SplitTestFact,
    UserGroupEstimateFact,
    UserGroupFact,
)
from events.registry import EncodedFact, FactRegistry

EVERY_FACT = get_args(Fact)

MOMENTS = st.datetimes(timezones=st.just(UTC))
# Numbers that JSON can hold, one way of writing each: no infinity, no NaN, no -0.0.
st.register_type_strategy(float, st.floats(min_value=0, allow_infinity=False))


@st.composite
def facts(draw: st.DrawFn) -> object:
    """Any fact at all; hypothesis builds it from the annotations, and learns here only that moments are aware UTC."""
    fact_type = draw(st.sampled_from(EVERY_FACT))
    annotations = get_type_hints(fact_type, include_extras=True)
    moments = {name: MOMENTS for name, annotation in annotations.items() if annotation == Moment}
    return draw(st.builds(fact_type, **{**{name: st.from_type(annotations[name]) for name in annotations}, **moments}))


def test_the_registry_and_the_union_of_facts_name_the_same_facts() -> None:
    assert sorted(REGISTRY.names()) == sorted(fact.__name__ for fact in EVERY_FACT)


@pytest.mark.parametrize("fact_type", get_args(OverrideFact), ids=lambda fact_type: fact_type.__name__)
def test_every_fact_of_an_override_names_its_unit_and_its_environment(fact_type: type) -> None:
    assert {"unit", "environment"} <= {field.name for field in fields(fact_type)}


@pytest.mark.parametrize(
    "fact_type",
    get_args(SplitTestFact | UserGroupFact | UserGroupEstimateFact),
    ids=lambda fact_type: fact_type.__name__,
)
def test_every_fact_of_a_split_test_or_a_user_group_names_its_key(fact_type: type) -> None:
    assert "key" in {field.name for field in fields(fact_type)}


@given(facts())
def test_a_fact_comes_back_as_it_was(fact: object) -> None:
    assert REGISTRY.decode(REGISTRY.encode(fact)) == fact


@given(facts(), facts())
def test_equal_facts_give_equal_bytes_and_others_do_not(one: object, other: object) -> None:
    assert (REGISTRY.encode(one) == REGISTRY.encode(other)) == (one == other)


@given(facts(), st.dictionaries(st.text(), st.none() | st.integers() | st.text() | st.lists(st.text()), min_size=1))
def test_fields_from_a_newer_program_are_ignored(fact: Any, news: dict[str, Any]) -> None:
    encoded = REGISTRY.encode(fact)
    known = {field.name for field in fields(fact)}
    payload = {**{name: value for name, value in news.items() if name not in known}, **json.loads(encoded.payload)}
    newer = EncodedFact(name=encoded.name, version=encoded.version, payload=json.dumps(payload).encode())

    assert REGISTRY.decode(newer) == fact


def test_fields_that_an_older_program_did_not_write_take_their_defaults() -> None:
    payload = b'{"key":"k","name":"n","author":"anna","managers":["boris"]}'

    fact = REGISTRY.decode(EncodedFact(name="SplitTestCreated", version=1, payload=payload))

    assert fact == SplitTestCreated(key="k", name="n", author="anna", managers=("boris",))


@given(st.sampled_from(sorted(REGISTRY.names())), st.binary() | st.text().map(str.encode))
def test_foreign_bytes_are_a_fact_or_a_named_error(name: str, payload: bytes) -> None:
    try:
        fact = REGISTRY.decode(EncodedFact(name=name, version=1, payload=payload))
    except CorruptPayload:
        return
    assert type(fact) in EVERY_FACT


@pytest.mark.parametrize(
    "payload",
    [b"", b"{", b"[]", b"null", b"\xff", b'{"key":1}', b'{"name":"n"}', b'{"key":"k"}{'],
    ids=[
        "nothing",
        "cut short",
        "a list",
        "null",
        "not UTF-8",
        "a wrong type",
        "a missing field",
        "more after the end",
    ],
)
def test_a_damaged_payload_is_named(payload: bytes) -> None:
    with pytest.raises(CorruptPayload, match="SplitTestPublished version 1"):
        REGISTRY.decode(EncodedFact(name="SplitTestPublished", version=1, payload=payload))


@pytest.mark.parametrize(("name", "version"), [("SplitTestPublished", 2), ("SplitTestCloned", 1)])
def test_a_fact_from_a_newer_program_is_named(name: str, version: int) -> None:
    with pytest.raises(UnknownFact, match="run a release that knows it") as error:
        REGISTRY.decode(EncodedFact(name=name, version=version, payload=b"{}"))

    assert (error.value.name, error.value.version) == (name, version)


def test_a_class_without_a_name_is_refused() -> None:
    with pytest.raises(UnregisteredFact, match="ProposedVariant"):
        REGISTRY.encode(ProposedVariant(name="red", groups=240))


@pytest.mark.parametrize(
    "fact",
    [
        CodeDeployed(key="k", hit_id="1", occurred_at=datetime(2026, 5, 3)),  # noqa: DTZ001 - the bad input
        CodeDeployed(key=7, hit_id="1", occurred_at=datetime(2026, 5, 3, tzinfo=UTC)),  # type: ignore[arg-type]
        CodeDeployed(key="\ud800", hit_id="1", occurred_at=datetime(2026, 5, 3, tzinfo=UTC)),
        SplitTestCreated(key="k", name="n", author="a", managers=(object(),)),  # type: ignore[arg-type]
    ],
    ids=["a time without a zone", "a number for a text", "half a character", "an object"],
)
def test_a_fact_that_could_not_be_read_again_is_refused(fact: object) -> None:
    with pytest.raises(UnreadableFact):
        REGISTRY.encode(fact)


# --- Registering ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class LampSwitched:
    lamp: str
    brightness: int
    by: str = "nobody"


def test_a_name_is_registered_once() -> None:
    registry = FactRegistry()
    registry.register("LampSwitched", version=1)(LampSwitched)

    with pytest.raises(ValueError, match="taken"):
        registry.register("LampSwitched", version=2)(Overlap)


def test_a_class_is_registered_once() -> None:
    registry = FactRegistry()
    registry.register("LampSwitched", version=1)(LampSwitched)

    with pytest.raises(ValueError, match="taken"):
        registry.register("LightSwitched", version=1)(LampSwitched)


def test_versions_begin_at_one() -> None:
    with pytest.raises(ValueError, match="below 1"):
        FactRegistry().register("LampSwitched", version=0)(LampSwitched)


# --- Upcasting --------------------------------------------------------------------------------------------------------


@pytest.fixture
def upcasting() -> FactRegistry:
    """Version 1 said {on}, version 2 {lamp, on}, version 3 says {lamp, brightness}."""
    registry = FactRegistry()
    registry.register("LampSwitched", version=3)(LampSwitched)

    @registry.upcaster("LampSwitched", from_version=1)
    def name_the_only_lamp(payload: Mapping[str, Any]) -> dict[str, Any]:
        return {**payload, "lamp": "the only one"}

    @registry.upcaster("LampSwitched", from_version=2)
    def measure_brightness(payload: Mapping[str, Any]) -> dict[str, Any]:
        return {"lamp": payload["lamp"], "brightness": 100 if payload["on"] else 0}

    del name_the_only_lamp, measure_brightness
    return registry


@pytest.mark.parametrize(
    ("version", "payload", "expected"),
    [
        (1, b'{"on":true}', LampSwitched(lamp="the only one", brightness=100)),
        (2, b'{"lamp":"left","on":false}', LampSwitched(lamp="left", brightness=0)),
        (3, b'{"lamp":"left","brightness":7,"by":"anna"}', LampSwitched(lamp="left", brightness=7, by="anna")),
    ],
)
def test_every_older_version_is_brought_to_the_current_one(
    upcasting: FactRegistry, version: int, payload: bytes, expected: LampSwitched
) -> None:
    assert upcasting.decode(EncodedFact(name="LampSwitched", version=version, payload=payload)) == expected


@pytest.mark.parametrize("payload", [b"{}", b"[]", b"\xff", b'{"lamp":"left"}', b'{"lamp":5,"on":true}'], ids=repr)
def test_a_damaged_old_payload_is_named_too(upcasting: FactRegistry, payload: bytes) -> None:
    with pytest.raises(CorruptPayload, match="LampSwitched version 2"):
        upcasting.decode(EncodedFact(name="LampSwitched", version=2, payload=payload))


def test_a_missing_step_makes_an_old_version_unknown() -> None:
    registry = FactRegistry()
    registry.register("LampSwitched", version=3)(LampSwitched)
    registry.upcaster("LampSwitched", from_version=2)(dict)

    with pytest.raises(UnknownFact):
        registry.decode(EncodedFact(name="LampSwitched", version=1, payload=b'{"on":true}'))


@pytest.mark.parametrize("version", [0, -1])
def test_a_version_below_one_is_unknown(upcasting: FactRegistry, version: int) -> None:
    with pytest.raises(UnknownFact):
        upcasting.decode(EncodedFact(name="LampSwitched", version=version, payload=b"{}"))


def test_a_step_is_registered_once(upcasting: FactRegistry) -> None:
    with pytest.raises(ValueError, match="already"):
        upcasting.upcaster("LampSwitched", from_version=1)(dict)


def test_every_error_of_this_room_is_drawn_in_the_tree_of_its_root() -> None:
    all_errors = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, Exception)]

    assert all(issubclass(error, EventsError) for error in all_errors)
    assert all(error.__name__ in (EventsError.__doc__ or "") for error in all_errors)
