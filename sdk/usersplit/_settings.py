"""Settings are looked at when the service starts, where they are given: later nobody would see the reason."""

import threading

from usersplit._errors import InvalidSetting


def require_at_least(name: str, value: object, smallest: int) -> None:
    """Refuse a number that is too small, or none.

    Raises:
        InvalidSetting: it is.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < smallest:
        raise InvalidSetting(f"{name} must be a whole number from {smallest}, not {value!r}.")


def require_positive_seconds(name: str, value: object) -> None:
    """Refuse a time that is none, or that never ends.

    Raises:
        InvalidSetting: it is.
    """
    if not isinstance(value, (int, float)) or not 0 < value <= threading.TIMEOUT_MAX:
        raise InvalidSetting(f"{name} must be a number of seconds above 0, not {value!r}.")


def require_name(name: str, value: object) -> None:
    """Refuse an empty text, or what is none.

    Raises:
        InvalidSetting: it is.
    """
    if not isinstance(value, str) or not value.strip():
        raise InvalidSetting(f"{name} must be a name, not {value!r}.")
