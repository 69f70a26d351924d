"""Values as people read them in sentences of the changelog."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache

from events.facts import GroupsMoved, Overlap
from events.user_group_estimate_facts import SharedWithTest

_GROUPS_PER_PERCENT = 24
_LONGEST_VALUE = 100
"""In a sentence; the changes beside it keep the whole value."""
_TESTS_IN_A_SENTENCE = 5
"""Likewise: a hundred tests would be pages of text."""


def moment(at: datetime) -> str:
    """Return a moment in UTC, to the minute or as exact as it takes."""
    utc = at.astimezone(UTC)
    spec = "minutes" if not (utc.second or utc.microsecond) else "auto"
    return f"{utc.replace(tzinfo=None).isoformat(' ', timespec=spec)} UTC"


@lru_cache(maxsize=2500)
def percent(groups: int) -> str:
    """Return the percent of users that `groups` of the 2400 split groups are: 24 are 1 %."""
    rounded = round(Decimal(groups) / _GROUPS_PER_PERCENT, 3).normalize()
    return f"{rounded:f} %"


def status(name: str) -> str:
    """Return a status as people write it: In Dev."""
    return name.replace("_", " ").title()


def split_groups(count: int) -> str:
    """Return a count of split groups."""
    return "1 split group" if count == 1 else f"{count} split groups"


def percents_shared(overlap: Overlap, our_users: int | None) -> tuple[float | None, float | None]:
    """Return how much of our users, and of the other test's, are in both, in percent; None where nobody counted.

    The other test's users are those that its own preparation estimated; where more have come to be shared since then,
    it has at least these.
    """
    if overlap.shared_users is None:
        return None, None
    theirs = None if overlap.their_users is None else max(overlap.their_users, overlap.shared_users)
    return tuple(100 * overlap.shared_users / whole if whole else None for whole in (our_users, theirs))  # type: ignore[return-value] # of two


def shared(overlap: Overlap, our_users: int | None) -> str:
    """Return what two tests share, and a mark if they are of one type, where an overlap hurts most.

    `our_users` are those of the test that speaks, in all of its variants; None where nobody counted them.
    """
    counts = split_groups(overlap.shared_groups)
    if overlap.shared_users is not None:
        bound = "at most " if overlap.is_upper_bound else ""
        counts += f" and {bound}{overlap.shared_users:,} users"
    ours, theirs = percents_shared(overlap, our_users)
    remarks = [
        *([] if ours is None else [f"{ours:.3g} % of ours"]),
        *([] if theirs is None else [f"{theirs:.3g} % of theirs"]),
        *(["same type"] if overlap.same_type else []),
    ]
    return f"{counts} ({', '.join(remarks)})" if remarks else counts


def smallest_effect(effect: float, base_rate: float) -> str:
    """Return what users can show: by how many points a rate must rise, and from what to what that is."""
    return f"{100 * effect:.3g} points ({100 * base_rate:.3g} % → {100 * (base_rate + effect):.3g} %)"


def moves(kept_groups: int, moved: Iterable[GroupsMoved]) -> str:
    """Return how many split groups stay with their variants, and which way the others go."""
    ways = [f"{split_groups(each.groups)} {_way(each)}" for each in moved]
    return sentence_of([f"{split_groups(kept_groups)} stay with their variants", *ways])


def _way(moved: GroupsMoved) -> str:
    if not moved.before:
        return f"join {moved.after}"
    if not moved.after:
        return f"leave {moved.before}"
    return f"move from {moved.before} to {moved.after}"


def quoted(value: str) -> str:
    """Return a value in quotation marks, on one line and cut to a length that fits in a sentence."""
    line = " ".join(value.split())
    return f"“{line[: _LONGEST_VALUE - 1]}…”" if len(line) > _LONGEST_VALUE else f"“{line}”"


def listed_changes(changes: Iterable[tuple[str, str, str]]) -> str:
    """Return changes as `what before → after; …`."""
    return "; ".join(f"{what} {_value(before)} → {_value(after)}" for what, before, after in changes)


def sentence_of(parts: Sequence[str]) -> str:
    """Join parts with commas and a last "and"."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else "".join(parts)


def tests_shared(shared: Sequence[str]) -> str:
    """Return what is shared with each test, the most first, of which a sentence tells the first few."""
    told, rest = list(shared[:_TESTS_IN_A_SENTENCE]), len(shared) - _TESTS_IN_A_SENTENCE
    if rest > 0:
        told.append(f"some with {rest} other {'test' if rest == 1 else 'tests'}")
    return sentence_of(told)


def _value(value: str) -> str:
    if not value:
        return "(none)"
    line = " ".join(value.split())
    return f"{line[: _LONGEST_VALUE - 1]}…" if len(line) > _LONGEST_VALUE else line


def other_test(overlap: Overlap | SharedWithTest) -> str:
    """Name the test that an overlap is with; a Draft has no name for others."""
    return overlap.key or "a test that is still a Draft"


def users(count: int, *, is_upper_bound: bool) -> str:
    """Return a number of users."""
    return f"{'at most ' if is_upper_bound else ''}{count:,} {'user' if count == 1 else 'users'}"


def shared_with_test(shared: SharedWithTest, our_users: int) -> str:
    """Return how many users of a user group are in a test, and how much that is of either; `our_users` are its own."""
    theirs = None if shared.their_users is None else max(shared.their_users, shared.users)
    remarks = [
        f"{100 * shared.users / whole:.3g} % of {whose}"
        for whose, whole in (("ours", our_users), ("theirs", theirs))
        if whole
    ]
    counted = users(shared.users, is_upper_bound=shared.is_upper_bound)
    return f"{counted} ({', '.join(remarks)})" if remarks else counted
