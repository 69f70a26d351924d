"""What the relay writes to Kafka: lifecycle events, config documents, heartbeats. Their form is `docs/streams.md`."""

import json
from datetime import UTC, datetime

from events.lifecycle_codec import encode_event
from events.store import StoredEvent
from projections.config import ConfigDocument
from streams.messages import OutgoingMessage
from streams.topics import CONFIGS, LIFECYCLE

POSITION_HEADER = "usersplit_position"
WITHHELD_HEADER = "usersplit_withheld"
HEARTBEAT_KEY = b"//heartbeat"
"""No test can have this key: a key holds no slash."""

_STREAM_PREFIX = "split_test/"


def key_of(event: StoredEvent) -> str:
    """Return the key that orders `event` among the others: its test's, or its stream's name where it is no test's."""
    return event.stream.removeprefix(_STREAM_PREFIX)


def lifecycle_record(event: StoredEvent, *, source: str) -> OutgoingMessage:
    """Return `event` as a record of the lifecycle topic, with the headers of CloudEvents' Kafka binding."""
    headers = {
        "ce_specversion": "1.0",
        "ce_id": event.event_id,
        "ce_source": source,
        "ce_type": event.encoded.name,
        "ce_time": _moment(event.recorded_at),
        "ce_subject": key_of(event),
        "content-type": "application/avro",
        POSITION_HEADER: str(event.position),
    }
    return OutgoingMessage(
        topic=LIFECYCLE, key=key_of(event).encode(), value=encode_event(event), headers=_encoded(headers)
    )


def config_record(document: ConfigDocument) -> OutgoingMessage:
    """Return a config document as a record of the config topic: full state, so that the newest one is enough."""
    return OutgoingMessage(
        topic=CONFIGS,
        key=document.key.encode(),
        value=document.document.encode(),
        headers=_encoded({"content-type": "application/json", POSITION_HEADER: str(document.position)}),
    )


def heartbeat_record(*, position: int, at: datetime) -> OutgoingMessage:
    """Return the record that says: at this time, everything up to `position` was in the config topic."""
    heartbeat = {"format": 1, "kind": "heartbeat", "position": position, "at": _moment(at)}
    return OutgoingMessage(
        topic=CONFIGS,
        key=HEARTBEAT_KEY,
        value=json.dumps(heartbeat, separators=(",", ":")).encode(),
        headers=_encoded({"content-type": "application/json", POSITION_HEADER: str(position)}),
    )


def withheld_record(large: OutgoingMessage) -> OutgoingMessage | None:
    """Return what is sent in the place of a record that is too large for its topic, None if nothing is.

    A lifecycle event leaves its headers, so that readers see no gap and can ask the log for it. In the config topic a
    record without a value is a tombstone, and would take away the last good document: there, nothing is sent.
    """
    if large.topic != LIFECYCLE:
        return None
    headers = (*large.headers, *_encoded({WITHHELD_HEADER: "too large"}))
    return OutgoingMessage(topic=large.topic, key=large.key, value=None, headers=headers)


def _encoded(headers: dict[str, str]) -> tuple[tuple[str, bytes], ...]:
    return tuple((name, value.encode()) for name, value in headers.items())


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
