"""What one part of a process logged, whatever else is said there meanwhile."""

import logging

import pytest


def said_by(logger: str, caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """Return what `logger` was told, and nothing else: a process that ran other tests before has other voices.

    A client of a broker that is gone, say, or a part that did not stop in time on a busy machine, speak when they will.
    """
    return [record for record in caplog.records if record.name == logger]
