"""The circle of people who manage a split test or a user group."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from domain.errors import LastManager, NoSuchManager, NothingChanges, TooManyManagers, WrongManagerName
from domain.keys import checked_line

MAX_MANAGERS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class CircleChange:
    """Who joins a circle, who leaves it, and the whole circle after it, in the order they joined."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    managers: tuple[str, ...]


def first_circle(author: str, others: Iterable[str]) -> tuple[str, ...]:
    """Return the circle of something new: its author first, everybody once.

    Raises:
        WrongManagerName, TextTooLong: a name is empty, or too long.
        TooManyManagers: there are more than `MAX_MANAGERS`.
    """
    managers = _named((author, *others))
    _check_count(managers)
    return managers


def changed_circle(
    key: str, managers: Sequence[str], *, add: Iterable[str] = (), remove: Iterable[str] = ()
) -> CircleChange:
    """Return the circle of `key` with some people more and others less.

    Raises:
        WrongManagerName, TextTooLong: an added name is empty, or too long.
        TooManyManagers: more than `MAX_MANAGERS` would be in the circle, and some of them new.
        NoSuchManager: a removed one is not in the circle.
        LastManager: nobody would remain.
        NothingChanges: the circle would be the same.
    """
    leaving = {name.strip() for name in remove}
    # Only who joins is checked: names that were let in by an earlier release must not stand in the way for ever.
    widened = tuple(dict.fromkeys((*managers, *_named(add))))
    for name in sorted(leaving):
        if name not in widened:
            raise NoSuchManager(key, name, managers)
    after = tuple(name for name in widened if name not in leaving)
    if not after:
        raise LastManager(key)
    added = tuple(name for name in after if name not in managers)
    removed = tuple(name for name in managers if name not in after)
    if not added and not removed:
        raise NothingChanges(key, "the managers")
    if added:
        _check_count(after)
    return CircleChange(added=added, removed=removed, managers=after)


def _named(names: Iterable[str]) -> tuple[str, ...]:
    circle: dict[str, None] = {}
    for name in names:
        trimmed = name.strip()
        if not trimmed or not trimmed.isprintable():
            raise WrongManagerName(name)
        circle[checked_line(trimmed, "a manager's name")] = None
    return tuple(circle)


def _check_count(managers: Sequence[str]) -> None:
    if len(managers) > MAX_MANAGERS:
        raise TooManyManagers(len(managers), MAX_MANAGERS)
