"""Moments as people type them."""

from datetime import UTC, datetime


class NotAMoment(Exception):
    """A time that is not written as times are."""

    def __init__(self, text: str) -> None:
        super().__init__(f"{text!r} is not a moment, such as 2026-05-03T14:05Z or 2026-05-03T16:05+02:00")


def moment_of(text: str) -> datetime:
    """Return the moment that `text` says, in UTC.

    Raises:
        NotAMoment: it says none.
    """
    try:
        return utc(datetime.fromisoformat(text))
    except (ValueError, OverflowError) as error:
        raise NotAMoment(text) from error


def utc(moment: datetime) -> datetime:
    """Return a moment as it was typed: in UTC where no zone was."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
