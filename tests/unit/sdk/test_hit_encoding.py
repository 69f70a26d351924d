"""The hand-written encoder of hits writes what `encode_hit`, and so fastavro, writes."""

import enum
import uuid
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from usersplit._hit_encoding import HitEncoder
from usersplit._hit_record import HITS_PER_BATCH, BufferedHit, HitIds, HitOrigin, LoggedHit, hit_of
from usersplit.hits import Hit, decode_hit, encode_hit

ORIGIN = HitOrigin(app="coconut-store", host="web1", environment_name="production")
NOW_NS = 1_777_900_000_123_456_789
RANDOM = b"\x01\x02\x03\x04\x05\x06\x07\x08"


class Platform(str, enum.Enum):  # noqa: UP042 - the older kind, whose str() is not its value
    IOS = "ios"


class Nameless:
    def __str__(self) -> str:
        raise RuntimeError("no name")


TEXTS = st.one_of(st.sampled_from(["", "web", "RU", "ключ", "x" * 64, "я" * 200]), st.text(max_size=20))
ODD = st.sampled_from([None, 1, 1.0, True, Platform.IOS, b"web", ["web"], Nameless(), "\ud800"])
IDS = st.one_of(
    st.integers(),
    TEXTS,
    st.text(min_size=120, max_size=140),
    st.uuids(),
    st.sampled_from([Platform.IOS, True, Nameless(), "\ud800", 3.5, None]),
)
TIMES = st.one_of(
    st.integers(NOW_NS, NOW_NS + 10**9),
    st.integers(-(2**70), 2**75),
    st.sampled_from([0, 999, 1000, 2**13 * 1000, 2**13 * 1000 - 1, (2**62 - 1) * 1000, 2**62 * 1000, 2**63 * 1000]),
)
GROUPS = st.one_of(st.integers(0, 3), st.integers(-(2**32), 2**32), st.sampled_from([True, 1.0, None, 2**31 - 1]))


def usual(**changes: Any) -> LoggedHit:
    fields: dict[str, Any] = {
        "occurred_at_ns": NOW_NS,
        "test_key": "green_button",
        "settings_group": 3,
        "variant": "red",
        "unit_type": "user",
        "unit_id": 42,
        "split_group": 2400,
        "platform": "web",
        "country": "RU",
        "forced": False,
        "attributes": "",
        "hit_id": "",
        "extra_bytes": 0,
    }
    return LoggedHit(**{**fields, **changes})


# A usual hit with some fields changed: the encoder's ways differ by field, and one strange field hides the others.
LOGGED = st.fixed_dictionaries(
    {},
    optional={
        "occurred_at_ns": TIMES,
        "test_key": st.one_of(st.sampled_from(["a", "b"]), TEXTS, ODD),
        "settings_group": GROUPS,
        "variant": st.one_of(st.sampled_from(["red", "blue"]), TEXTS, ODD),
        "unit_type": st.one_of(st.sampled_from(["user", "guest"]), ODD),
        "unit_id": IDS,
        "split_group": st.one_of(st.integers(0, 2400), GROUPS),
        "platform": st.one_of(TEXTS, ODD),
        "country": st.one_of(TEXTS, ODD),
        "forced": st.sampled_from([False, True, False, True, 1, 0, None]),
        "attributes": st.one_of(st.sampled_from(["", '{"a":1}', "\ud800", 5]), TEXTS),
        "hit_id": st.one_of(st.just(""), st.uuids().map(str), TEXTS),
    },
).map(lambda changes: usual(**changes))


def in_truth(batch: list[LoggedHit]) -> list[tuple[bytes, bytes]]:
    """Return the records as fastavro writes them, one by one, without those that it refuses."""
    ids = HitIds(RANDOM)
    records = []
    for place, logged in enumerate(batch):
        try:
            hit = hit_of(logged, ORIGIN, ids.id(logged.occurred_at_ns // 1_000_000, place))
            records.append((hit.unit_id.encode(), encode_hit(hit)))
        except Exception:  # noqa: BLE001, S112 - refused: the other encoder must refuse it too
            continue
    return records


@settings(max_examples=150)
@given(st.lists(LOGGED, min_size=1, max_size=4), st.lists(LOGGED, max_size=2))
# What is kept of one hit must not be taken for another that only compares equal.
@example([usual(settings_group=1), usual(settings_group=True), usual(settings_group=1.0)], [])
@example([usual(forced=True), usual(forced=1), usual(forced=False), usual(forced=0)], [])
@example([usual(split_group=-5), usual(split_group=2401), usual(split_group=True)], [])
def test_every_record_has_the_bytes_that_fastavro_writes(first: list[LoggedHit], second: list[LoggedHit]) -> None:
    encoder = HitEncoder(ORIGIN)
    for batch in (first, second, first):
        encoded = encoder.encode(batch, RANDOM)
        assert encoded.records == in_truth(batch)
        assert len(encoded.records) + len(encoded.failures) == len(batch)


def test_a_usual_hit_never_takes_the_slow_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(HitEncoder, "_encode_unusual")
    hits = [
        usual(),
        usual(unit_id="guest-17", unit_type="guest", platform="", country=""),
        usual(unit_id="i" * 127, split_group=0, forced=True),
        usual(hit_id=str(uuid.UUID(int=7)), attributes='{"sum_gamerounds":3}'),
    ]
    assert len(HitEncoder(ORIGIN).encode(hits, RANDOM).records) == len(hits)


def test_the_ids_of_many_batches_are_all_different_and_grow() -> None:
    encoder = HitEncoder(ORIGIN)
    ids: list[str] = []
    for number in range(20):
        batch: list[BufferedHit] = [usual(occurred_at_ns=NOW_NS + 10**7 * number)] * HITS_PER_BATCH
        records = encoder.encode(batch, uuid.uuid4().bytes[:8]).records
        ids += [decode_hit(value).hit_id for _, value in records]
    assert len(set(ids)) == 20 * HITS_PER_BATCH
    assert sorted(ids) == ids


def test_what_is_kept_of_keys_and_places_is_bounded() -> None:
    encoder = HitEncoder(ORIGIN)
    for number in range(100):
        batch = [
            usual(test_key=f"k{number}.{place}", platform=f"p{number}.{place}", forced=bool(place % 2))
            for place in range(100)
        ]
        encoder.encode(batch, RANDOM)
    assert all(len(kept) <= 4096 for kept in (encoder._tests, encoder._drawn, encoder._forced))
    (record,) = encoder.encode([usual()], RANDOM).records
    assert decode_hit(record[1]) == Hit(
        hit_id=HitIds(RANDOM).id(NOW_NS // 1_000_000, 0),
        occurred_at=NOW_NS // 1000,
        test_key="green_button",
        settings_group=3,
        variant="red",
        unit_type="user",
        unit_id="42",
        split_group=2400,
        environment="production",
        platform="web",
        country="RU",
        app="coconut-store",
        host="web1",
        sdk_version=decode_hit(record[1]).sdk_version,
    )
