"""A notifier that only remembers: the shipped stand-in for tests."""

from notifications.notifier import Notification, NotificationFailed


class MemoryNotifier:
    """A `notifications.notifier.Notifier` in memory.

    Attributes:
        told: every notification that was accepted, in order.
        refusing: keys of the tests about which every notification fails.
    """

    def __init__(self) -> None:
        self.told: list[Notification] = []
        self.refusing: set[str] = set()

    def notify(self, notification: Notification) -> None:
        """See `Notifier.notify`."""
        if notification.key in self.refusing:
            raise NotificationFailed(f"notifications about {notification.key} are refused; take it out of `refusing`")
        self.told.append(notification)

    def close(self) -> None:
        """See `Notifier.close`."""
