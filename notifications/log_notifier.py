"""A notifier that writes to the log: for a start, and for those whose log is watched anyway."""

from logging import INFO, Logger, getLogger

from notifications.notifier import Notification


class LogNotifier:
    """A `notifications.notifier.Notifier` that logs each notification on one line. It cannot fail."""

    def __init__(self, log: Logger | None = None, *, level: int = INFO) -> None:
        self._log = log or getLogger(__name__)
        self._level = level

    def notify(self, notification: Notification) -> None:
        """See `Notifier.notify`."""
        told = [*notification.recipients, *([notification.chat_room] if notification.chat_room else [])]
        self._log.log(self._level, "to %s: %s", _line(", ".join(told)) or "nobody", _line(notification.text))

    def close(self) -> None:
        """See `Notifier.close`."""


def _line(text: str) -> str:
    # A name with a line break in it must not look like a line of its own.
    return " ".join(text.split())
