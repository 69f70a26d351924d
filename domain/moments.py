"""Dates and times as a manager writes them."""

import re
from datetime import UTC, datetime

from domain.settings_errors import NaiveMoment, WrongMoment

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def read_moment(value: object, field: str) -> datetime:
    """Return the moment that `value` names: `2026-05-01` is midnight UTC, `2026-05-01T09:30:00+03:00` is itself.

    Raises:
        WrongMoment: it cannot be read.
        NaiveMoment: a time without a time zone.
    """
    if not isinstance(value, str):
        raise WrongMoment(field, value)
    text = value.strip()
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise WrongMoment(field, value) from None
    if _DATE.fullmatch(text):
        return moment.replace(tzinfo=UTC)
    return as_utc(moment, field)


def as_utc(moment: datetime, field: str) -> datetime:
    """Return an aware moment in UTC.

    Raises:
        NaiveMoment: it has no time zone.
        WrongMoment: in UTC it falls outside of the years 1 to 9999.
    """
    if moment.utcoffset() is None:
        raise NaiveMoment(field, moment.isoformat())
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise WrongMoment(field, moment.isoformat()) from None
