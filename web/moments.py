"""Moments as a date-and-time field of a browser has them; on these pages they are in UTC."""

from datetime import UTC, datetime


def read_moment(text: str) -> datetime | None:
    """Return the moment, aware; None where there is none, or what is there is no moment."""
    try:
        moment = datetime.fromisoformat(text.strip())
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
