"""Settings are read once, typed, and refused at start with a line for each mistake."""

from pathlib import Path

import pytest

from consumers.bi_sink_limits import TooManyDeadLetters
from entrypoints.processes import SETTINGS_OF
from entrypoints.settings import (
    ALL_SETTINGS,
    BiSinkSettings,
    DatabaseSettings,
    KafkaSettings,
    RelaySettings,
    SettingsError,
    TerminalSettings,
    known_variables,
)

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in known_variables():
        monkeypatch.delenv(name, raising=False)


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USERSPLIT_DATABASE_URL", "postgresql+psycopg://u:p@host/name")
    monkeypatch.setenv("USERSPLIT_KAFKA_BOOTSTRAP_SERVERS", "kafka:9092")
    monkeypatch.setenv("USERSPLIT_KAFKA_OPTIONS", '{"security.protocol": "SASL_SSL"}')
    settings = RelaySettings.read()
    assert settings.database_url.get_secret_value() == "postgresql+psycopg://u:p@host/name"
    assert settings.kafka_bootstrap_servers == "kafka:9092"
    assert settings.kafka_options == {"security.protocol": "SASL_SSL"}


def test_every_missing_setting_is_named_with_what_it_should_be() -> None:
    with pytest.raises(SettingsError) as refused:
        BiSinkSettings.read()
    lines = str(refused.value).splitlines()
    assert {line.split(" is not set: ")[0] for line in lines} == {
        "USERSPLIT_KAFKA_BOOTSTRAP_SERVERS",
        "USERSPLIT_WAREHOUSE_URL",
    }
    assert all("host" in line for line in lines)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("USERSPLIT_DATABASE_URL", "mysql://root:hunter2@host/x"),
        ("USERSPLIT_DATABASE_URL", "hunter2"),
        ("USERSPLIT_LOG_LEVEL", "LOUD"),
    ],
)
def test_a_wrong_value_is_refused_without_telling_secrets(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("USERSPLIT_DATABASE_URL", "sqlite:///x.db")
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=name) as refused:
        DatabaseSettings.read()
    assert "hunter2" not in str(refused.value)


def test_a_misspelt_variable_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USERSPLIT_DATABASE_URL", "sqlite:///x.db")
    monkeypatch.setenv("USERSPLIT_KAFKA_BOOTSTRAPSERVERS", "kafka:9092")
    with pytest.raises(SettingsError, match="USERSPLIT_KAFKA_BOOTSTRAPSERVERS is not a setting"):
        DatabaseSettings.read()


def test_secrets_are_masked_when_settings_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USERSPLIT_DATABASE_URL", "postgresql+psycopg://u:hunter2@host/name")
    monkeypatch.setenv("USERSPLIT_KAFKA_BOOTSTRAP_SERVERS", "kafka:9092")
    monkeypatch.setenv("USERSPLIT_KAFKA_OPTIONS", '{"sasl.password": "hunter3"}')
    shown = repr(RelaySettings.read())
    assert "hunter2" not in shown
    assert "hunter3" not in shown


def test_superusers_are_a_list_of_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USERSPLIT_DATABASE_URL", "sqlite:///x.db")
    monkeypatch.setenv("USERSPLIT_SUPERUSERS", "ann, bob,,")
    assert TerminalSettings.read().superuser_names() == {"ann", "bob"}


def test_partitions_must_be_a_number_that_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USERSPLIT_KAFKA_BOOTSTRAP_SERVERS", "kafka:9092")
    monkeypatch.setenv("USERSPLIT_HIT_PARTITIONS", "0")
    with pytest.raises(SettingsError, match="USERSPLIT_HIT_PARTITIONS"):
        KafkaSettings.read()


def test_every_setting_says_what_it_should_be() -> None:
    for settings in ALL_SETTINGS:
        for name, field in settings.model_fields.items():
            assert field.description, f"{settings.__name__}.{name}"


def test_every_class_of_settings_is_known_to_the_misspelling_guard() -> None:
    assert set(SETTINGS_OF.values()) <= set(ALL_SETTINGS)


def test_the_readme_names_only_settings_that_exist() -> None:
    import re

    mentioned = set(re.findall(r"USERSPLIT_[A-Z_]+", (ROOT / "README.md").read_text()))
    assert mentioned <= known_variables()


@pytest.mark.parametrize("options", ["{bad", "[]", "7", '{"sasl.password": 7}', "[" * 100_000])
def test_options_that_are_no_json_object_of_texts_are_refused(options: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USERSPLIT_KAFKA_BOOTSTRAP_SERVERS", "kafka:9092")
    monkeypatch.setenv("USERSPLIT_KAFKA_OPTIONS", options)
    with pytest.raises(SettingsError, match="USERSPLIT_KAFKA_OPTIONS") as refused:
        KafkaSettings.read()
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///", "sqlite:///:memory:"])
def test_a_database_that_is_no_file_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USERSPLIT_DATABASE_URL", url)
    with pytest.raises(SettingsError, match=r"USERSPLIT_DATABASE_URL names no file; write sqlite:///path/to/file\.db"):
        DatabaseSettings.read()


def test_the_advice_of_a_stopped_sink_names_settings_that_exist() -> None:
    import re

    mentioned = set(re.findall(r"USERSPLIT_[A-Z_]+", str(TooManyDeadLetters("501 in a row", "Torn."))))
    assert len(mentioned) == 2
    assert mentioned <= known_variables()
