"""The errors that say the database is away: a consumer waits and asks again, where anything else stops it."""

from typing import Final

from sqlalchemy.exc import InterfaceError, OperationalError

from events.errors import DatabaseUnavailable

DATABASE_AWAY: Final[tuple[type[Exception], ...]] = (OperationalError, InterfaceError, DatabaseUnavailable)
"""As SQLAlchemy raises it where a consumer writes itself, and as the event store translates it."""
