import json
import logging

import httpx
import pytest

from notifications.log_notifier import LogNotifier
from notifications.memory_notifier import MemoryNotifier
from notifications.notifier import Notification, NotificationFailed
from notifications.webhook_notifier import WebhookNotifier
from tests.support.voices import said_by

TOLD = Notification(
    event_id="split_test/green_button@4",
    key="green_button",
    recipients=("ann", "bob"),
    subject="The code of green_button is deployed",
    text="The code of green_button\n(Green) is deployed.",
    chat_room="#coconuts",
)


def test_the_memory_notifier_remembers_and_refuses_when_told_to() -> None:
    notifier = MemoryNotifier()
    notifier.notify(TOLD)
    notifier.refusing.add("green_button")
    with pytest.raises(NotificationFailed, match="green_button"):
        notifier.notify(TOLD)
    notifier.close()
    assert notifier.told == [TOLD]


def test_the_log_notifier_says_it_on_one_line(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        LogNotifier().notify(TOLD)
    (said,) = said_by("notifications.log_notifier", caplog)
    assert said.getMessage() == "to ann, bob, #coconuts: The code of green_button (Green) is deployed."


def test_the_webhook_notifier_posts_json_with_the_event_id_as_idempotency_key() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(204)

    notifier = WebhookNotifier("https://chat.example/secret", transport=httpx.MockTransport(answer))
    notifier.notify(TOLD)
    notifier.close()
    (request,) = seen
    assert request.method == "POST"
    assert request.headers["Idempotency-Key"] == TOLD.event_id
    assert json.loads(request.content) == {
        "event_id": TOLD.event_id,
        "key": "green_button",
        "recipients": ["ann", "bob"],
        "subject": TOLD.subject,
        "text": TOLD.text,
        "chat_room": "#coconuts",
    }


@pytest.mark.parametrize("status", [302, 404, 500])
def test_any_answer_but_success_is_a_failure(status: int) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(status))
    with pytest.raises(NotificationFailed, match=str(status)):
        WebhookNotifier("https://chat.example/secret", transport=transport).notify(TOLD)


def test_a_webhook_that_is_away_is_a_failure_and_its_address_stays_secret() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("connection refused by secret", request=request)

    notifier = WebhookNotifier("https://chat.example/secret", transport=httpx.MockTransport(refuse))
    with pytest.raises(NotificationFailed) as failure:
        notifier.notify(TOLD)
    assert "secret" not in str(failure.value) + repr(notifier)
