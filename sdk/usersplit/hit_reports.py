"""A hit report, and its bytes: how a service tells BI which hits it lost. Avro in the Confluent wire format, as hits.

Lost hits are never told as hits: nobody who counts hits has to leave something out. The counters are those of a process
since its beginning, so a report that is lost or comes twice changes nothing: the newest one of a process is the truth.
"""

import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from io import BytesIO
from typing import Any, Final

import fastavro

from usersplit._avro import codec_schema, schema_text
from usersplit._errors import UserSplitError
from usersplit._hit_accounting import DROP_REASONS

__all__ = [
    "HIT_REPORT_SCHEMA",
    "HIT_REPORT_SCHEMA_ID",
    "HitReport",
    "MalformedHitReport",
    "decode_hit_report",
    "encode_hit_report",
]

HIT_REPORT_SCHEMA_ID: Final = 3
HIT_REPORT_SCHEMA: Final = schema_text("hit_report")

_PREFIX: Final = struct.pack(">bI", 0, HIT_REPORT_SCHEMA_ID)
_CODEC_SCHEMA: Final = codec_schema(HIT_REPORT_SCHEMA)


class MalformedHitReport(UserSplitError, ValueError):
    """The bytes are no hit report: a wrong prefix, a torn record, or bytes beyond its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HitReport:
    """What became of the hits of one process: `accepted == delivered + dropped + buffered + spooled`.

    Attributes:
        report_id: UUIDv7 as text.
        process: UUIDv7 of one counting; a forked child has its own, and every client of a process.
        counting_since: when the counters were zero, by the service's clock: microseconds of Unix time, UTC.
        reported_at: when they stood as they stand here, likewise.
        is_final: the client was closed; what was logged afterwards is not in here.
        app: the service.
        host: the server.
        environment: where the service runs: "production", "devel" …
        pid: the operating system's number of the process, for people; it is used again and again.
        sdk_version: the version of the library that counted.
        accepted: hits that were logged, and those that were recovered.
        delivered: hits that the broker acknowledged.
        buffered: hits on their way, in memory or with Kafka's client.
        spooled: hits that wait on the disk.
        recovered: hits found in the spools of processes that are gone. Those accepted them too, so what all processes
            together were given is the sum of `accepted - recovered`.
        dropped: hits that were given up, for whatever reason: those that this version does not know, too.
        dropped_buffer_full: … because of that reason, see `usersplit.DropReason`; so are the following ones.
        dropped_closed: …
        dropped_encoding_failed: …
        dropped_delivery_failed: …
        dropped_close_deadline: …
        dropped_spool_full: …
        dropped_spool_damaged: …
    """

    report_id: str = ""
    process: str = ""
    counting_since: int = 0
    reported_at: int = 0
    is_final: bool = False
    app: str = ""
    host: str = ""
    environment: str = ""
    pid: int = 0
    sdk_version: str = ""
    accepted: int = 0
    delivered: int = 0
    buffered: int = 0
    spooled: int = 0
    recovered: int = 0
    dropped: int = 0
    dropped_buffer_full: int = 0
    dropped_closed: int = 0
    dropped_encoding_failed: int = 0
    dropped_delivery_failed: int = 0
    dropped_close_deadline: int = 0
    dropped_spool_full: int = 0
    dropped_spool_damaged: int = 0

    @property
    def dropped_by_reason(self) -> Mapping[str, int]:
        """The hits that were given up, by reason; reasons without any are left out."""
        counts: dict[str, int] = {reason: getattr(self, f"dropped_{reason}") for reason in DROP_REASONS}
        return {reason: count for reason, count in counts.items() if count}


def encode_hit_report(report: HitReport) -> bytes:
    """Return the report's bytes, as they travel through Kafka.

    Raises:
        ValueError: a text that cannot be encoded, such as a host's name with half of a surrogate pair.
    """
    buffer = BytesIO()
    buffer.write(_PREFIX)
    fastavro.schemaless_writer(buffer, _CODEC_SCHEMA, asdict(report))
    return buffer.getvalue()


def decode_hit_report(value: bytes) -> HitReport:
    """Return the report that `value` holds.

    Raises:
        MalformedHitReport: `value` is not exactly one report in the wire format.
    """
    if value[: len(_PREFIX)] != _PREFIX:
        raise MalformedHitReport(
            f"The message starts with {value[:5].hex() or 'nothing'}, a hit report with 0x00 and schema id "
            f"{HIT_REPORT_SCHEMA_ID}."
        )
    body = BytesIO(value)
    body.seek(len(_PREFIX))
    try:
        record: Any = fastavro.schemaless_reader(body, _CODEC_SCHEMA, None)
        report = HitReport(**record)
        canonical = encode_hit_report(report)
    except Exception as error:  # fastavro names no closed set of errors for damaged bytes
        raise MalformedHitReport(f"The record is torn or damaged: {type(error).__name__}: {error}.") from error
    if canonical != value:
        raise MalformedHitReport("The record is damaged: what it decodes to has other bytes.")
    return report
