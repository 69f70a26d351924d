"""In-code tests: the variants are methods of a class, and a key decides between them. No config, no server.

    class DelayTracks(tracks.SimpleTrackSet):
        @staticmethod
        def short_track():
            time.sleep(0.5)

    with DelayTracks(key=user_id, hits=client.hits) as track:
        track()

The names, and the track that a key gets, are those of the package `tracks` 0.1.1 from PyPI: a service that moves over
keeps everybody in their track. What is different, and why, is told in docs/tracks.md.
"""

import hashlib
import inspect
import logging
import operator
import secrets
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Final, Self

from usersplit._errors import UserSplitError
from usersplit._hit_logger import HitLogger
from usersplit._split_groups import is_split_group
from usersplit._units import Guest, UnitType, User, unit_identity

__all__ = [
    "InvalidWeight",
    "MultiTrackSet",
    "NoTracks",
    "ParamTrackSet",
    "SimpleTrackSet",
    "Track",
    "TrackSet",
    "UnknownTrack",
]

CONTROL: Final = "control"
_SUFFIX: Final = "_track"
_MASKED_LENGTH: Final = 7

_logger = logging.getLogger("usersplit.tracks")


class NoTracks(UserSplitError, TypeError):
    """The class has neither tracks nor the control track: there is nothing to choose from."""


class InvalidWeight(UserSplitError, ValueError):
    """A weight is a whole number, 0 or more."""


class UnknownTrack(UserSplitError, ValueError):
    """`forced` names a track that the class does not have."""


class Track:
    """One way that the code can take. Calling it takes the way; the first call is the exposure, and logs the hit.

    Attributes:
        name: the variant: "control", or the method's name without "_track".
        is_eligible: whether the unit takes part. If not, this is the control track, and no hit is logged.
    """

    def __init__(
        self, name: str, run: Callable[..., Any], *, is_eligible: bool = True, exposed: Callable[[], None] | None = None
    ) -> None:
        self.name = name
        self.is_eligible = is_eligible
        self._run = run
        self._exposed = exposed

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Take the way, and return what its code returns. What that code raises is raised."""
        if self._exposed is not None:
            self._exposed()
        return self._run(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<Track {self.name}>"

    @property
    def masked_name(self) -> str:
        """A name for the eyes of visitors, who shall not guess what is tested: 7 hexadecimal digits."""
        return _masked(self.name)


class TrackSet:
    """A test: its tracks, and the one that this key gets. `SimpleTrackSet` and `ParamTrackSet` say which tracks.

    Args:
        context: whatever `is_eligible` and the tracks want to know.
        key: who or what always gets the same track: its text decides. A `User` or a `Guest` stands for its id. None
            draws a track anew each time.
        hits: where the hit goes; None logs none.

    Raises:
        NoTracks, UnknownTrack: the class is not made right. Nothing else is raised: an `is_eligible` that fails is
            reported to the logger `usersplit.tracks`, and counts as no.

    Attributes:
        name: the test's key, as hits carry it; left empty, the name of the class. It is part of what decides.
        weight: how often this test is chosen within a `MultiTrackSet`, in proportion to the others' weights.
        add_control_track: whether a track "control", that does nothing, takes part beside the others.
        settings_group: of the hits. Raise it by one when tracks are added or changed, and BI keeps the results apart.
        unit_type: what kind of unit a key is that is neither a `User` nor a `Guest`.
        forced: the name of the track that everybody gets, for tests of a service; its hits say so.
        hits: where the hit goes, unless the constructor is told.
        context: as given.
        key: the text that decided.
        run_id: a random id of this very choice.
        chosen: the track; `track` is the same.
    """

    name: str = ""
    weight: int = 100
    add_control_track: bool = True
    settings_group: int = 0
    unit_type: UnitType = "user"
    forced: str | None = None
    hits: HitLogger | None = None
    track: Any

    def __init__(self, context: Any = None, key: object = None, *, hits: HitLogger | None = None) -> None:
        if not self.name:
            self.name = type(self).__name__
        self.context = context
        self.run_id = secrets.token_hex(16)
        self.key = self.run_id if key is None else _text_of_key(key)
        if hits is not None:
            self.hits = hits
        self._unit = key if isinstance(key, (User, Guest)) else None
        self._is_drawn = key is None
        self._is_logged = False
        # Asked once: what is logged and what is shown must not differ because the answer changed in between.
        self._takes_part = self._is_asked_in()
        self.chosen: Track = self._choose(self._gather_tracks())
        self.track = self.chosen

    @property
    def is_eligible(self) -> bool:
        """Whether this unit takes part; override it. Who does not gets the control track, even of a set without one."""
        return True

    @property
    def masked_name(self) -> str:
        """The test's name for the eyes of visitors: 7 hexadecimal digits."""
        return _masked(self.name)

    @staticmethod
    def noop(*args: Any, **kwargs: Any) -> None:
        """The control track: do nothing. Override it to give control code of its own."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the track."""
        return self.chosen(*args, **kwargs)

    def __enter__(self) -> Track:
        return self.chosen

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Let every exception through: it is the page's own."""

    def _own_tracks(self) -> list[tuple[str, Callable[..., Any]]]:
        raise NotImplementedError("Derive from SimpleTrackSet or ParamTrackSet.")

    def _gather_tracks(self) -> list[tuple[str, Callable[..., Any]]]:
        control = [(CONTROL, self.noop)] if self.add_control_track else []
        return [*control, *self._own_tracks()]

    def _choose(self, tracks: Sequence[tuple[str, Callable[..., Any]]]) -> Track:
        if not tracks:
            raise NoTracks(f"{type(self).__name__} has no tracks: add a method whose name ends in _track, or params.")
        if self.forced is not None:
            named = dict(tracks)
            if self.forced not in named:
                raise UnknownTrack(f"{type(self).__name__} has no track {self.forced!r}, only {', '.join(named)}.")
            return Track(self.forced, named[self.forced], exposed=self._log_exposure)
        if not self._takes_part:
            return Track(CONTROL, self.noop, is_eligible=False)
        name, run = tracks[_place(self.name, self.key, len(tracks))]
        return Track(name, run, exposed=self._log_exposure)

    def _is_asked_in(self) -> bool:
        try:
            return bool(self.is_eligible)
        except Exception:  # a page does not fail because of an experiment
            _logger.exception("is_eligible of %s failed: this unit takes no part.", type(self).__name__)
            return False

    def _log_exposure(self) -> None:
        if self.hits is None or self._is_logged:
            return
        self._is_logged = True
        unit_type, unit_id, split_group = self._identity()
        self.hits.log(
            test_key=self.name,
            variant=self.chosen.name,
            unit_type=unit_type,
            unit_id=unit_id,
            settings_group=self.settings_group,
            split_group=split_group,
            forced=self.forced is not None,
        )

    def _identity(self) -> tuple[UnitType, object, int]:
        if self._unit is not None:
            unit_type, unit_id = unit_identity(self._unit)
            return unit_type, unit_id, self._unit.split_group if is_split_group(self._unit.split_group) else 0
        # Without a key nobody is known: every choice is a guest of its own.
        return ("guest" if self._is_drawn else self.unit_type), self.key, 0


class SimpleTrackSet(TrackSet):
    """A test whose tracks are the methods with names that end in "_track"; control is the first, then by name."""

    def _own_tracks(self) -> list[tuple[str, Callable[..., Any]]]:
        # Only these names are looked at: `dir` lists properties too, and to read those may cost or fail.
        members = ((name, getattr(self, name, None)) for name in dir(self) if name.endswith(_SUFFIX))
        return [(name.removesuffix(_SUFFIX), run) for name, run in members if inspect.isroutine(run)]


class ParamTrackSet(TrackSet):
    """A test with one track for each member of `params`, the keyword arguments of `track` and of `track_name`.

    Attributes:
        params: one mapping a track, in the order that decides.
        track_name: given one of `params` as keyword arguments, returns the track's name.
        track: the code of all tracks: called with the caller's arguments and one of `params`. Of an instance it is the
            track that was chosen.
    """

    params: Sequence[Mapping[str, Any]] = ()
    track_name: Callable[..., str]

    def _own_tracks(self) -> list[tuple[str, Callable[..., Any]]]:
        return [(self.track_name(**each), partial(self.track, **each)) for each in self.params]


class MultiTrackSet:
    """Several tests, of which each key takes part in one: of those it is eligible for, by their weights.

    Args:
        tracksets: the classes; a class attribute of the same name wins.
        context: as for a `TrackSet`.
        key: as for a `TrackSet`.
        hits: as for a `TrackSet`.

    Raises:
        InvalidWeight: the weight of a class is no whole number, or negative.
        NoTracks, UnknownTrack: a class is not made right.

    Attributes:
        name: the names of all tests, joined by "/"; it is part of what decides.
        is_eligible: whether there is a test for this key. If not, `trackset` and `track` are both named "control".
        trackset: the test that was chosen.
        track: its track.
        run_id: of the choice.
    """

    tracksets: Sequence[type[TrackSet]] = ()

    def __init__(
        self,
        tracksets: Sequence[type[TrackSet]] | None = None,
        context: Any = None,
        key: object = None,
        *,
        hits: HitLogger | None = None,
    ) -> None:
        self.tracksets = self.tracksets or tracksets or ()
        self.context = context
        self.key = secrets.token_hex(16) if key is None else _text_of_key(key)
        candidates = [trackset(context, key) for trackset in self.tracksets]
        self.name = "/".join(candidate.name for candidate in candidates)
        weighted = [(candidate, _weight(candidate)) for candidate in candidates if candidate.chosen.is_eligible]
        total = sum(weight for _, weight in weighted)
        self.is_eligible = total > 0
        self.trackset: TrackSet = _pick(weighted, _place(self.name, self.key, total)) if total else _Nothing()
        if hits is not None:
            self.trackset.hits = hits
        self.track: Track = self.trackset.chosen
        self.run_id = self.trackset.run_id

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the track."""
        return self.track(*args, **kwargs)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Let every exception through: it is the page's own."""


class _Nothing(SimpleTrackSet):
    """What a `MultiTrackSet` chooses for whom there is no test."""

    name = CONTROL

    @property
    def is_eligible(self) -> bool:
        return False


def _text_of_key(key: object) -> str:
    return str(unit_identity(key)[1]) if isinstance(key, (User, Guest)) else str(key)


def _place(name: str, key: str, places: int) -> int:
    """Return a number from 0 to `places` - 1, always the same, as `tracks` 0.1.1 computes it."""
    return int(_md5(f"{name}:{key}"), 16) % places


def _masked(name: str) -> str:
    return _md5(name)[:_MASKED_LENGTH]


def _md5(text: str) -> str:
    # MD5 keeps no secret here: it spreads, and it is what `tracks` spreads with.
    return hashlib.md5(text.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()


def _weight(candidate: TrackSet) -> int:
    try:
        weight = operator.index(candidate.weight)
    except TypeError:
        weight = -1
    if weight < 0:
        raise InvalidWeight(f"The weight of {candidate.name} must be a whole number from 0, not {candidate.weight!r}.")
    return weight


def _pick(weighted: Sequence[tuple[TrackSet, int]], place: int) -> TrackSet:
    for candidate, weight in weighted:
        if place < weight:
            return candidate
        place -= weight
    raise AssertionError("The place is below the sum of the weights.")
