"""Values as people read them in sentences of the changelog."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache

from events.facts import Overlap

_GROUPS_PER_PERCENT = 24
_LONGEST_VALUE = 100
"""In a sentence; the changes beside it keep the whole value."""


def moment(at: datetime) -> str:
    """Return a moment in UTC, to the minute or as exact as it takes."""
    utc = at.astimezone(UTC)
    spec = "minutes" if not (utc.second or utc.microsecond) else "auto"
    return f"{utc.replace(tzinfo=None).isoformat(' ', timespec=spec)} UTC"


@lru_cache(maxsize=2500)
def percent(groups: int) -> str:
    """Return the percent of users that `groups` of the 2400 split groups are: 24 are 1 %."""
    rounded = round(Decimal(groups) / _GROUPS_PER_PERCENT, 2).normalize()
    return f"{rounded:f} %"


def status(name: str) -> str:
    """Return a status as people write it: In Dev."""
    return name.replace("_", " ").title()


def split_groups(count: int) -> str:
    """Return a count of split groups."""
    return "1 split group" if count == 1 else f"{count} split groups"


def shared(overlap: Overlap) -> str:
    """Return what two tests share, and a mark if they are of one type, where an overlap hurts most."""
    counts = split_groups(overlap.shared_groups)
    if overlap.shared_users is not None:
        counts += f" and {overlap.shared_users:,} users"
    return f"{counts} (same type)" if overlap.same_type else counts


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


def _value(value: str) -> str:
    if not value:
        return "(none)"
    line = " ".join(value.split())
    return f"{line[: _LONGEST_VALUE - 1]}…" if len(line) > _LONGEST_VALUE else line


def other_test(overlap: Overlap) -> str:
    """Name the test that an overlap is with; a Draft has no name for others."""
    return overlap.key or "a test that is still a Draft"
