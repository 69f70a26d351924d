"""The port through which people are told something."""

from dataclasses import dataclass
from typing import Protocol


class NotificationFailed(Exception):
    """The notification was not accepted. Trying again later is right: its `event_id` keeps it from being told twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """What people are told, and who.

    Attributes:
        event_id: of the fact it is about; the same one means the same notification, told again after a crash.
        key: of the split test.
        recipients: names of people.
        subject: one line.
        text: whole sentences.
        chat_room: where else to say it, empty where the test has none.
    """

    event_id: str
    key: str
    recipients: tuple[str, ...]
    subject: str
    text: str
    chat_room: str = ""


class Notifier(Protocol):
    """Brings notifications to people, each at least once."""

    def notify(self, notification: Notification) -> None:
        """Return once the notification is in the hands of whoever delivers it. May block for seconds.

        Raises:
            NotificationFailed: it is not, or nobody knows.
        """
        ...

    def close(self) -> None:
        """Let go of connections. Idempotent."""
        ...
