"""In-code tests choose as the package `tracks` 0.1.1 does, serve the seed's examples, and log their hits."""

import logging
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import tracks as peer
from hypothesis import given, settings
from hypothesis import strategies as st

from usersplit import Guest, HitLogger, MemoryHitTransport, User
from usersplit.tracks import (
    InvalidWeight,
    MultiTrackSet,
    NoTracks,
    ParamTrackSet,
    SimpleTrackSet,
    TrackSet,
    UnknownTrack,
)

NAMES = st.text(min_size=1, max_size=20)
KEYS = st.one_of(st.text(), st.integers(), st.floats(), st.tuples(st.text(), st.integers()), st.lists(st.integers()))
TRACK_NAMES = st.lists(st.from_regex(r"[a-z]{1,6}", fullmatch=True), unique=True, max_size=6)


class Delay(SimpleTrackSet):
    @staticmethod
    def short_track(waits: list[float]) -> str:
        waits.append(0.5)
        return "waited"

    @staticmethod
    def long_track(waits: list[float]) -> str:
        waits.append(2)
        return "waited"


class Pricing(ParamTrackSet):
    params = tuple({"price_delta": delta} for delta in range(-5, 6))
    add_control_track = False

    @staticmethod
    def track_name(price_delta: int) -> str:
        return f"price_adjusted_by_{price_delta}"

    @staticmethod
    def track(prices: list[int], price_delta: int) -> None:
        prices[:] = [price + price_delta for price in prices]


class NotForVips(Delay):
    add_control_track = False

    @property
    def is_eligible(self) -> bool:
        return not self.context["user"]["is_vip"]


@pytest.fixture
def wire() -> MemoryHitTransport:
    return MemoryHitTransport()


@pytest.fixture
def hits(wire: MemoryHitTransport) -> Iterator[HitLogger]:
    with HitLogger(wire, app="shop", environment_name="devel") as logger:
        yield logger


def _class(base: type, name: str, tracks: list[str], **members: object) -> Any:
    methods = {f"{each}_track": staticmethod(lambda each=each: each) for each in tracks}
    return type("Made", (base,), {"name": name, **methods, **members})


@settings(max_examples=100)
@given(name=NAMES, track_names=TRACK_NAMES, key=KEYS, control=st.booleans())
def test_a_key_gets_the_track_that_the_package_tracks_gives_it(
    name: str, track_names: list[str], key: object, *, control: bool
) -> None:
    if not track_names and not control:
        return
    ours = _class(SimpleTrackSet, name, track_names, add_control_track=control)(key=key)
    theirs = _class(peer.SimpleTrackSet, name, track_names, add_control_track=control)(key=key)
    assert ours.track.name == theirs.track.name
    assert ours.masked_name == theirs.masked_name
    assert ours.track.masked_name == theirs.track.masked_name


@settings(max_examples=100)
@given(key=KEYS, deltas=st.lists(st.integers(), unique=True, min_size=1, max_size=12), control=st.booleans())
def test_parameters_are_chosen_alike_too(key: object, deltas: list[int], *, control: bool) -> None:
    members: Mapping[str, object] = {
        "params": [{"delta": delta} for delta in deltas],
        "add_control_track": control,
        "track_name": staticmethod(lambda delta: f"by_{delta}"),
        "track": staticmethod(lambda delta: delta),
    }
    ours = _class(ParamTrackSet, "pricing", [], **members)(key=key)
    theirs = _class(peer.ParamTrackSet, "pricing", [], **members)(key=key)
    assert ours.track.name == theirs.track.name
    assert ours() == theirs()


@settings(max_examples=100)
@given(
    key=KEYS,
    sets=st.lists(st.tuples(NAMES, st.integers(0, 40), st.booleans()), min_size=1, max_size=5),
)
def test_of_several_tests_the_same_one_is_chosen(key: object, sets: list[tuple[str, int, bool]]) -> None:
    def classes(base: type) -> list[Any]:
        return [_class(base, name, ["a", "b"], weight=weight, is_eligible=asked) for name, weight, asked in sets]

    ours = MultiTrackSet(classes(SimpleTrackSet), key=key)
    theirs = peer.MultiTrackSet(classes(peer.SimpleTrackSet), key=key)
    assert ours.is_eligible == theirs.is_eligible
    if theirs.is_eligible:
        assert (ours.trackset.name, ours.track.name) == (theirs.trackset.name, theirs.track.name)
    else:
        assert (ours.trackset.name, ours.track.name) == ("control", "control")


def test_a_track_is_what_with_gives_and_runs_its_method() -> None:
    for key in range(20):
        waits: list[float] = []
        with Delay(key=key) as track:
            answer = track(waits)
        assert (track.name, waits, answer) in [
            ("control", [], None),
            ("short", [0.5], "waited"),
            ("long", [2], "waited"),
        ]


def test_all_tracks_are_met_without_a_key_and_one_with_it() -> None:
    assert {Delay().track.name for _ in range(300)} == {"control", "short", "long"}
    assert len({Delay(key="ada").track.name for _ in range(20)}) == 1


def test_parameters_reach_the_code() -> None:
    prices = [3, 4]
    with Pricing(key=7) as track:
        track(prices)
    delta = int(track.name.removeprefix("price_adjusted_by_"))
    assert prices == [3 + delta, 4 + delta]


def test_who_is_not_eligible_gets_control_even_of_a_set_without_one() -> None:
    waits: list[float] = []
    with NotForVips(context={"user": {"is_vip": True}}, key=1) as track:
        track(waits)
    assert (track.name, track.is_eligible, waits) == ("control", False, [])
    assert NotForVips(context={"user": {"is_vip": False}}, key=1).track.is_eligible


def test_an_eligibility_that_fails_counts_as_no_and_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "usersplit.tracks"):
        assert not NotForVips(key=1).track.is_eligible
    assert "is_eligible of NotForVips failed" in caplog.text


def test_what_a_track_raises_is_the_pages_own() -> None:
    class Broken(SimpleTrackSet):
        add_control_track = False

        def only_track(self) -> None:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), Broken(key=1) as track:
        track()


def test_weights_are_proportions() -> None:
    class Heavy(Delay):
        weight = 1000

    chosen = [MultiTrackSet([Heavy, Pricing], key=key).trackset.name for key in range(2000)]
    assert 1750 < chosen.count("Heavy") < 1890  # 1000 of 1100, and always the same keys


def test_several_tests_run_as_one() -> None:
    for key in range(20):
        prices = [3]
        with MultiTrackSet([Pricing, NotForVips], {"user": {"is_vip": True}}, key) as multitrack:
            multitrack(prices)
        assert multitrack.name == "Pricing/NotForVips"
        assert multitrack.trackset.name == "Pricing"
        assert multitrack.track.name == f"price_adjusted_by_{prices[0] - 3}"


def test_a_set_without_tracks_says_so() -> None:
    class Empty(SimpleTrackSet):
        add_control_track = False

    with pytest.raises(NoTracks, match="Empty has no tracks"):
        Empty(key=1)


@pytest.mark.parametrize("weight", [-1, 1.5, "100", None])
def test_a_weight_is_a_whole_number(weight: Any) -> None:
    with pytest.raises(InvalidWeight, match="The weight of"):
        MultiTrackSet([_class(SimpleTrackSet, "heavy", ["a"], weight=weight)], key=1)


def test_the_exposure_is_logged_with_the_first_call(hits: HitLogger, wire: MemoryHitTransport) -> None:
    with Delay(key="ada", hits=hits) as track:
        assert hits.stats().accepted == 0
        track([])
        track([])
    hits.flush()
    (hit,) = wire.hits
    assert (hit.test_key, hit.variant, hit.unit_type, hit.unit_id) == ("Delay", track.name, "user", "ada")
    assert (hit.settings_group, hit.split_group, hit.forced, hit.app) == (0, 0, False, "shop")


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (User(id=42, split_group=7), ("user", "42", 7)),
        (Guest(id="g-1", split_group=8), ("guest", "g-1", 8)),
        (Guest(device_id="d-1", split_group=0), ("device", "d-1", 0)),
    ],
)
def test_a_unit_of_the_sdk_stands_for_its_id(
    key: User | Guest, expected: tuple[str, str, int], hits: HitLogger, wire: MemoryHitTransport
) -> None:
    tracks = Delay(key=key, hits=hits)
    tracks([])
    hits.flush()
    (hit,) = wire.hits
    assert (hit.unit_type, hit.unit_id, hit.split_group) == expected
    assert Delay(key=expected[1]).track.name == tracks.track.name


def test_without_a_key_every_choice_is_a_guest_of_its_own(hits: HitLogger, wire: MemoryHitTransport) -> None:
    for _ in range(5):
        Delay(hits=hits)([])
    hits.flush()
    assert {hit.unit_type for hit in wire.hits} == {"guest"}
    assert len({hit.unit_id for hit in wire.hits}) == 5


def test_who_is_not_eligible_is_not_counted(hits: HitLogger, wire: MemoryHitTransport) -> None:
    NotForVips(context={"user": {"is_vip": True}}, key=1, hits=hits)([])
    MultiTrackSet([NotForVips], {"user": {"is_vip": True}}, 1, hits=hits)([])
    hits.flush()
    assert wire.hits == []


def test_of_several_tests_the_chosen_one_is_counted(hits: HitLogger, wire: MemoryHitTransport) -> None:
    class Versioned(Delay):
        settings_group = 2

    with MultiTrackSet([Versioned, Pricing], key="ada", hits=hits) as multitrack:
        multitrack([])
    hits.flush()
    (hit,) = wire.hits
    assert (hit.test_key, hit.variant) == (multitrack.trackset.name, multitrack.track.name)
    assert hit.settings_group == multitrack.trackset.settings_group


def test_a_track_can_be_forced_and_its_hits_say_so(
    monkeypatch: pytest.MonkeyPatch, hits: HitLogger, wire: MemoryHitTransport
) -> None:
    monkeypatch.setattr(NotForVips, "forced", "long")
    tracks = NotForVips(context={"user": {"is_vip": True}}, key=1, hits=hits)
    tracks([])
    hits.flush()
    assert tracks.track.name == "long"
    assert [(hit.variant, hit.forced) for hit in wire.hits] == [("long", True)]


def test_a_forced_track_must_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Delay, "forced", "slow")
    with pytest.raises(UnknownTrack, match="only control, long, short"):
        Delay(key=1)


def test_properties_of_a_set_are_not_evaluated_to_find_its_tracks() -> None:
    class Careful(Delay):
        @property
        def costly(self) -> object:
            raise AssertionError("read")

    sets: list[type[TrackSet]] = [Careful]
    assert MultiTrackSet(sets, key=1).is_eligible
