"""Logs: a line for people, an object for machines, and in neither a secret."""

import io
import json
import logging
import sys
from collections.abc import Iterator

import pytest

from entrypoints.log_format import secrets_of, set_up_logging
from entrypoints.settings import NotifierSettings, RelaySettings, Settings, known_variables


@pytest.fixture(autouse=True)
def root_logger(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in known_variables():
        monkeypatch.delenv(name, raising=False)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    # Taken away first: setting up closes the handlers that it finds, and these are pytest's own.
    root.handlers[:] = []
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def settings_with_secrets(monkeypatch: pytest.MonkeyPatch, log_format: str) -> RelaySettings:
    monkeypatch.setenv("USERSPLIT_DATABASE_URL", "postgresql+psycopg://u:p%40ss-hunter2@host/name")
    monkeypatch.setenv("USERSPLIT_KAFKA_BOOTSTRAP_SERVERS", "kafka:9092")
    monkeypatch.setenv(
        "USERSPLIT_KAFKA_OPTIONS", '{"security.protocol": "SASL_SSL", "sasl.password": "hunter3-and-more"}'
    )
    monkeypatch.setenv("USERSPLIT_LOG_FORMAT", log_format)
    return RelaySettings.read()


def refuse() -> None:
    raise ConnectionError("p@ss-hunter2 was refused for u:p%40ss-hunter2@host")


def logged(settings: Settings) -> str:
    stream = io.StringIO()
    set_up_logging(settings, "relay", stream)
    log = logging.getLogger("consumers.relay")
    log.info("the %s leads, with ümlauts and\na second line", "relay")
    try:
        refuse()
    except ConnectionError:
        log.exception("no broker for hunter3-and-more over SASL_SSL")
    log.debug("below the level")
    return stream.getvalue()


def test_json_is_one_object_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = logged(settings_with_secrets(monkeypatch, "json")).splitlines()
    first, second = (json.loads(line) for line in lines)
    assert list(first) == ["time", "level", "process", "logger", "message"]
    assert first["time"].endswith("Z")
    assert first["process"] == "relay"
    assert first["logger"] == "consumers.relay"
    assert first["message"] == "the relay leads, with ümlauts and\na second line"
    assert second["level"] == "ERROR"
    assert second["exception"].startswith("Traceback")
    assert "ConnectionError" in second["exception"]


def test_text_is_a_line_for_people(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = logged(settings_with_secrets(monkeypatch, "text")).splitlines()
    assert lines[0].split(" ", 1)[1] == "INFO relay consumers.relay: the relay leads, with ümlauts and"
    assert any(line.startswith("Traceback") for line in lines)


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_no_secret_is_ever_logged_even_in_somebody_elses_exception(
    log_format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = logged(settings_with_secrets(monkeypatch, log_format))
    assert "hunter" not in said
    assert "***" in said
    assert "SASL_SSL" in said, "what is no secret stays readable"


def test_a_webhooks_address_is_a_secret_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USERSPLIT_DATABASE_URL", "sqlite:///x.db")
    monkeypatch.setenv("USERSPLIT_WEBHOOK_URL", "https://chat.example/hooks/T0/B0/x1y2")
    assert secrets_of(NotifierSettings.read()) == {"https://chat.example/hooks/T0/B0/x1y2"}


def test_without_secrets_nothing_is_masked() -> None:
    assert secrets_of(Settings()) == frozenset()


def test_logs_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging(Settings(), "agent")
    logging.getLogger("x").warning("told")
    assert "WARNING agent x: told" in capsys.readouterr().err
    assert sys.stdout is not None
