"""A notifier that posts to a webhook: a chat's bridge, a mailer, whatever takes JSON.

The body is the notification as a JSON object, field by field. The header `Idempotency-Key` carries the event id: after
a crash the same notification may come again with the same one, and the receiver should tell people once.
"""

from dataclasses import asdict
from typing import Final

import httpx

from notifications.notifier import Notification, NotificationFailed

_TIMEOUT_SECONDS: Final = 10.0


class WebhookNotifier:
    """A `notifications.notifier.Notifier` over HTTP. Any answer but 2xx is a failure."""

    def __init__(
        self, url: str, *, timeout_seconds: float = _TIMEOUT_SECONDS, transport: httpx.BaseTransport | None = None
    ) -> None:
        """`url` may hold a secret and is never shown. `transport` replaces the network."""
        self._url = url
        self._client = httpx.Client(timeout=timeout_seconds, transport=transport)

    def __repr__(self) -> str:
        return "WebhookNotifier(url=***)"

    def notify(self, notification: Notification) -> None:
        """See `Notifier.notify`."""
        headers = {"Idempotency-Key": notification.event_id}
        try:
            answer = self._client.post(self._url, json=asdict(notification), headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise NotificationFailed(
                f"the webhook did not answer ({type(error).__name__}): check its address and that it is up"
            ) from error
        if not answer.is_success:
            raise NotificationFailed(f"the webhook answered {answer.status_code}: look into its log")

    def close(self) -> None:
        """See `Notifier.close`."""
        self._client.close()
