"""Settings are read once, typed, and refused at start with a line for each mistake."""

from pathlib import Path

import pytest

from consumers.bi_sink_limits import TooManyDeadLetters
from entrypoints.log_format import secrets_of
from entrypoints.process_settings import SETTINGS_OF
from entrypoints.settings import (
    ALL_SETTINGS,
    BiSinkSettings,
    DatabaseSettings,
    KafkaSettings,
    OpenIdSettings,
    RelaySettings,
    ServeSettings,
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


def test_the_variable_that_the_sdk_reads_is_not_taken_for_a_misspelt_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USERSPLIT_KAFKA_BOOTSTRAP_SERVERS", "kafka:9092")
    monkeypatch.setenv("USERSPLIT_SPEEDUPS", "off")
    assert KafkaSettings.read().kafka_bootstrap_servers == "kafka:9092"
    monkeypatch.setenv("USERSPLIT_SPEEDUP", "off")
    with pytest.raises(SettingsError, match="USERSPLIT_SPEEDUP is not a setting"):
        KafkaSettings.read()


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


OPENID = {
    "PUBLIC_URL": "https://split.example.com",
    "OPENID_ISSUER": "https://id.example.com",
    "OPENID_CLIENT_ID": "usersplit",
    "OPENID_ROLE_CLAIM": "groups",
    "OPENID_ROLES": '{"pm": "manager"}',
}


def set_openid(monkeypatch: pytest.MonkeyPatch, **changed: str) -> None:
    for name, value in (OPENID | changed).items():
        monkeypatch.setenv(f"USERSPLIT_{name}", value)


def test_an_identity_provider_is_set_up_with_a_few_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    set_openid(monkeypatch, OPENID_CLIENT_SECRET_FILE="", OPENID_DEFAULT_ROLE="")
    settings = OpenIdSettings.read()
    assert settings.openid_roles == {"pm": "manager"}
    assert settings.openid_scopes.split()[0] == "openid"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"OPENID_CLIENT_ID": ""}, "USERSPLIT_OPENID_CLIENT_ID is not set"),
        ({"PUBLIC_URL": ""}, "USERSPLIT_PUBLIC_URL is not set, and the provider leads people back to it"),
        ({"OPENID_ISSUER": "http://id.example.com"}, "USERSPLIT_OPENID_ISSUER must start with https://"),
        ({"OPENID_ROLES": ""}, "USERSPLIT_OPENID_ROLES and openid_role_claim belong together"),
        ({"OPENID_ROLES": '{"pm": "god"}'}, "USERSPLIT_OPENID_ROLES"),
        ({"OPENID_ROLES": "{"}, "USERSPLIT_OPENID_ROLES is not JSON"),
        ({"OPENID_ROLES": "", "OPENID_ROLE_CLAIM": ""}, "USERSPLIT_OPENID_DEFAULT_ROLE is not set"),
        ({"OPENID_DEFAULT_ROLE": "god"}, "USERSPLIT_OPENID_DEFAULT_ROLE"),
        ({"OPENID_SCOPES": "profile"}, "USERSPLIT_OPENID_SCOPES"),
        ({"OPENID_CLIENT_SECRET_FILE": "/no/such/file"}, "USERSPLIT_OPENID_CLIENT_SECRET_FILE cannot be read"),
        ({"OPENID_CLIENT_SECRET_FILE": "/dev/null"}, "USERSPLIT_OPENID_CLIENT_SECRET_FILE names an empty file"),
        (
            {"OPENID_CLIENT_SECRET_FILE": "/dev/null", "OPENID_CLIENT_SECRET": "hunter2"},
            "USERSPLIT_OPENID_CLIENT_SECRET_FILE and openid_client_secret are both set",
        ),
    ],
)
def test_half_an_identity_provider_is_refused_with_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, changed: dict[str, str], said: str
) -> None:
    set_openid(monkeypatch, **changed)
    with pytest.raises(SettingsError) as refused:
        OpenIdSettings.read()
    assert said in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_a_secret_from_a_file_is_masked_like_any_other(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hunter2\n")
    set_openid(monkeypatch, OPENID_CLIENT_SECRET_FILE=str(tmp_path / "secret"))
    settings = OpenIdSettings.read()
    assert settings.openid_client_secret.get_secret_value() == "hunter2"
    assert "hunter2" not in repr(settings)
    assert "hunter2" in secrets_of(settings)


def test_a_session_s_secret_is_replaced_by_naming_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USERSPLIT_DATABASE_URL", "sqlite:///x.db")
    assert ServeSettings.read().session_secrets() == []
    monkeypatch.setenv("USERSPLIT_SESSION_SECRET_BEFORE", "o" * 32)
    with pytest.raises(SettingsError, match="USERSPLIT_SESSION_SECRET is not set, and there is one before it"):
        ServeSettings.read()
    monkeypatch.setenv("USERSPLIT_SESSION_SECRET", "n" * 32)
    assert ServeSettings.read().session_secrets() == ["n" * 32, "o" * 32]
