"""How a process logs: lines for people, or one JSON object a line for machines; in neither a secret."""

import json
import logging
import sys
import traceback
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from typing import IO, Final

from pydantic import SecretStr
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from entrypoints.settings import Settings

_MASK: Final = "***"
_SECRET_WORDS: Final = ("password", "secret", "token", "credential", ".key", "jaas")


class _Masked(logging.Formatter):
    """Replaces secrets that found their way into a message, say in the words of somebody else's exception."""

    def __init__(self, process: str, secrets: Collection[str]) -> None:
        super().__init__()
        self._process = process
        # The longest first: a secret may be a part of another one.
        self._secrets = sorted(secrets, key=len, reverse=True)

    def masked(self, text: str) -> str:
        """Return `text` without secrets."""
        for secret in self._secrets:
            text = text.replace(secret, _MASK)
        return text


class TextFormatter(_Masked):
    """`2026-05-01T12:00:00.000Z INFO relay consumers.relay: the relay leads`, and the traceback below."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as a line, or several with a traceback."""
        line = f"{_moment(record)} {record.levelname} {self._process} {record.name}: {record.getMessage()}"
        exception = _exception(record)
        return self.masked(f"{line}\n{exception}" if exception else line)


class JsonFormatter(_Masked):
    """One JSON object a line: time (UTC), level, process, logger, message, and the exception if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line."""
        fields = {
            "time": _moment(record),
            "level": record.levelname,
            "process": self._process,
            "logger": record.name,
            "message": self.masked(record.getMessage()),
        }
        if exception := _exception(record):
            fields["exception"] = self.masked(exception)
        return json.dumps(fields, ensure_ascii=False)


def set_up_logging(settings: Settings, process: str, stream: IO[str] | None = None) -> None:
    """Log to standard error as the settings say, replacing what was set up before."""
    handler = logging.StreamHandler(stream or sys.stderr)
    formatter = JsonFormatter if settings.log_format == "json" else TextFormatter
    handler.setFormatter(formatter(process, secrets_of(settings)))
    logging.basicConfig(level=settings.log_level, handlers=[handler], force=True)


def secrets_of(settings: Settings) -> frozenset[str]:
    """Return everything in the settings that nobody may read in a log."""
    return frozenset(secret for secret in _secrets(settings) if secret)


def _secrets(settings: Settings) -> Iterator[str]:
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            yield from _of_url(value.get_secret_value())
        elif isinstance(value, dict):
            yield from (text for key, text in value.items() if any(word in key for word in _SECRET_WORDS))


def _of_url(text: str) -> Iterator[str]:
    """Yield a database URL's password, as it is and as the URL spells it; of any other secret the whole text."""
    try:
        url = make_url(text)
    except ArgumentError:
        yield text
        return
    if url.drivername in {"http", "https"}:
        yield text
    elif url.password:
        yield str(url.password)
        yield text.partition("://")[2].rpartition("@")[0].partition(":")[2]


def _exception(record: logging.LogRecord) -> str:
    if not record.exc_info or record.exc_info[1] is None:
        return ""
    return "".join(traceback.format_exception(record.exc_info[1])).rstrip()


def _moment(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
