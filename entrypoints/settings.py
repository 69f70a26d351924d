"""Settings: environment variables that start with USERSPLIT_, read once, typed, refused at start when they are wrong.

Each process names the class below that holds what it needs; a variable that no class knows is an error, because a
misspelt setting that is silently ignored is found on the worst day.
"""

import json
import os
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from accounts.identity import Role
from accounts.origin import is_safe_address
from audience.estimate import BASE_RATE
from usersplit._speedups import SWITCH

PREFIX = "USERSPLIT_"
_LEAST_SECRET = 32

SettingsType = TypeVar("SettingsType", bound="Settings")


class SettingsError(Exception):
    """A setting is missing, misspelt or wrong. The message names the variable and says what it should be."""


def _database_url(value: SecretStr) -> SecretStr:
    try:
        url = make_url(value.get_secret_value())
    except ArgumentError as error:
        raise ValueError("is not a database URL, such as postgresql+psycopg://user:password@host/name") from error
    if url.drivername not in {"sqlite", "postgresql+psycopg"}:
        raise ValueError(f"has the driver {url.drivername}; UserSplit keeps its log in sqlite or postgresql+psycopg")
    if url.drivername == "sqlite" and url.database in {None, "", ":memory:"}:
        # Each connection would have a database of its own, which is gone when the connection is.
        raise ValueError("names no file; write sqlite:///path/to/file.db")
    return value


def _options(value: object) -> object:
    if not isinstance(value, str):
        return value
    if not value:
        return {}  # set to nothing, as a compose file does
    try:
        options = json.loads(value)
    except (ValueError, RecursionError) as error:
        raise ValueError("is not JSON") from error
    return options


def _warehouse_url(value: SecretStr) -> SecretStr:
    scheme = value.get_secret_value().partition(":")[0]
    if scheme not in {"duckdb", "postgresql", "clickhouse"}:
        raise ValueError("must start with duckdb:/// (a file), postgresql:// or clickhouse:// (a server)")
    return value


def _users_url(value: SecretStr | None) -> SecretStr | None:
    if value is None or not value.get_secret_value():
        return None  # set to nothing, as a compose file without a users table does
    scheme = value.get_secret_value().partition(":")[0]
    if scheme not in {"duckdb", "postgresql", "clickhouse"}:
        raise ValueError("must start with duckdb:/// (a file), postgresql:// or clickhouse:// (a server)")
    return value


class Settings(BaseSettings):
    """What every process shares."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True)

    log_level: str = Field(default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="least level logged")
    log_format: Literal["text", "json"] = Field(default="text", description="text, or json: one object a line")
    alive_file: Path | None = Field(default=None, description="a file the process touches while it makes progress")
    metrics_port: int | None = Field(
        default=None, ge=0, le=65535, description="port of /metrics and /health; not set: neither is served"
    )
    metrics_address: str = Field(default="127.0.0.1", description="the address that port listens on")

    @classmethod
    def read(cls) -> Self:
        """Read the settings from the environment.

        Raises:
            SettingsError: with one line for each variable that is missing, wrong or unknown.
        """
        unknown = sorted(unknown_variables(os.environ))
        if unknown:
            raise SettingsError("\n".join(f"{name} is not a setting of UserSplit: is it misspelt?" for name in unknown))
        try:
            return cls()
        except ValidationError as error:
            raise SettingsError("\n".join(_sentences(cls, error))) from None


class DatabaseSettings(Settings):
    """Where the event store and the read models live."""

    database_url: Annotated[SecretStr, AfterValidator(_database_url)] = Field(
        description="sqlite:///path/to/file.db or postgresql+psycopg://user:password@host/name"
    )


class UsersSettings(Settings):
    """Where the users table is, if there is one."""

    users_url: Annotated[SecretStr | None, AfterValidator(_users_url)] = Field(
        default=None,
        description="the users table: duckdb:///file, postgresql://… or clickhouse://…; not set: users are not counted",
    )
    base_rate: float = Field(
        default=BASE_RATE,
        gt=0,
        lt=1,
        description="share of users who do already what tests are about, for the smallest effect an estimate tells",
    )


class UsersTableSettings(UsersSettings):
    """Commands about the users table."""

    warehouse_url: SecretStr | None = Field(default=None, description="where it is looked for without a users_url")

    def required_url(self) -> str:
        """Return where the users table is, in BI's warehouse where nothing else is said.

        Raises:
            SettingsError: nothing is said of either.
        """
        url = self.users_url or self.warehouse_url
        if url is None:
            raise SettingsError(
                f"{variable('users_url')} is not set: {type(self).model_fields['users_url'].description}"
            )
        return url.get_secret_value()


class TerminalSettings(DatabaseSettings, UsersSettings):
    """Commands of managers in a terminal."""

    actor: str = Field(default="", description="who gives the commands; the login name where it is empty")
    superusers: str = Field(default="", description="names of superusers, separated by commas")
    catalog: Path | None = Field(default=None, description="catalog of filters (TOML); the shipped one by default")

    def superuser_names(self) -> frozenset[str]:
        """Return the names in `superusers`."""
        return frozenset(name.strip() for name in self.superusers.split(",") if name.strip())


class KafkaSettings(Settings):
    """Where Kafka is."""

    kafka_bootstrap_servers: str = Field(min_length=1, description="host:port of Kafka, several separated by commas")
    kafka_options: Annotated[dict[str, str], NoDecode, BeforeValidator(_options)] = Field(
        default_factory=dict,
        repr=False,
        description='JSON of librdkafka settings, e.g. {"security.protocol": "SASL_SSL"}',
    )
    hit_partitions: int = Field(default=12, ge=1, description="partitions of the hits topic, when it is created")


class WarehouseSettings(Settings):
    """Where BI is."""

    warehouse_url: Annotated[SecretStr, AfterValidator(_warehouse_url)] = Field(
        description="duckdb:///path/to/file.duckdb, postgresql://user:password@host/name or clickhouse://… likewise"
    )


class RegistrySettings(Settings):
    """The schema registry, on its own."""

    registry_address: str = Field(default="127.0.0.1", description="the address the schema registry listens on")
    registry_port: int = Field(default=8081, ge=0, le=65535, description="the port of the schema registry")


class MigrateSettings(DatabaseSettings, KafkaSettings):
    """`migrate` makes the schema; and the topics, if it is told where Kafka is."""

    kafka_bootstrap_servers: str = Field(default="", description="host:port of Kafka; empty: no topics are made")


class RelaySettings(DatabaseSettings, KafkaSettings):
    """The relay: from the log to Kafka."""

    heartbeat_seconds: float = Field(default=5.0, gt=0, description="how often the relay says that it is alive")


class AgentSettings(KafkaSettings):
    """The agent: from Kafka to a directory of config files."""

    config_directory: Path = Field(description="directory of the config files that the SDK reads")
    environment_name: str = Field(
        pattern=r"^[A-Za-z0-9_.-]{1,60}$", description="what this server belongs to: production, devel …"
    )
    host: str = Field(
        default_factory=socket.gethostname,
        min_length=1,
        max_length=200,
        description="how this server is called where people look for it; the machine's name by default",
    )


class LaidOutSettings(DatabaseSettings, KafkaSettings):
    """The consumer of what servers have laid out."""

    silent_after_seconds: float = Field(
        default=300.0, gt=0, description="after how long without a word a server is not live any more"
    )


class BiSinkSettings(KafkaSettings, WarehouseSettings):
    """The BI sink: from Kafka to the warehouse."""

    dead_letters_in_a_row: int = Field(
        default=500, ge=1, description="so many poisonous messages in a row stop the sink"
    )
    dead_letters_in_window: int = Field(
        default=1000, ge=1, description="so many poisonous messages of the last 100,000 stop the sink"
    )
    sink_name: str = Field(
        default="",
        pattern=r"^[A-Za-z0-9._-]{0,200}$",
        description="what this sink, and no other, is called at every start: then it is given its partitions at once "
        "after a crash. On DuckDB, where there is only one, it has a name by itself",
    )
    sink_memory_mb: int = Field(
        default=192,
        ge=16,
        description="MiB of hits that the sink holds at most while the warehouse is slow or away; Kafka's client holds "
        "up to 32 more",
    )


class ReplaySettings(TerminalSettings, BiSinkSettings):
    """The replay of a CSV: a test in the log, its hits through Kafka, its counts from the warehouse."""


class CodeDeployedSettings(TerminalSettings, KafkaSettings):
    """The code-deployed consumer: from hits to facts."""


class AccountSettings(DatabaseSettings):
    """Commands on accounts in a terminal."""

    new_password: SecretStr = Field(
        default=SecretStr(""), description="the password to set; empty: the terminal asks for it"
    )


class OpenIdSettings(Settings):
    """The company's identity provider, if there is one. docs/accounts.md says what to write for which provider."""

    public_url: str = Field(
        default="",
        pattern=r"^(https?://[^/\s]+)?$",
        description="the address under which browsers see it, such as https://split.example.com; needed behind a proxy "
        "and for OpenID Connect",
    )
    openid_issuer: str = Field(
        default="", description="the provider's address, exactly as it calls itself; empty: passwords only"
    )
    openid_client_id: str = Field(default="", description="how the provider calls UserSplit")
    openid_client_secret: SecretStr = Field(
        default=SecretStr(""), description="what the provider gave to UserSplit; neither it nor a file: PKCE alone"
    )
    openid_client_secret_file: Path | None = Field(default=None, description="a file with that secret, in its place")
    openid_scopes: str = Field(
        default="openid profile email",
        pattern=r"^(.* )?openid( .*)?$",
        description="what is asked for; openid is needed",
    )
    openid_name_claim: str = Field(
        default="preferred_username", min_length=1, description="the claim that names a new person's account"
    )
    openid_role_claim: str = Field(
        default="", description="the claim with groups or roles, such as groups or realm_access.roles"
    )
    openid_roles: Annotated[dict[str, Role], NoDecode, BeforeValidator(_options)] = Field(
        default_factory=dict, description='JSON of what that claim says to roles, e.g. {"split-admins": "superuser"}'
    )
    openid_default_role: Role | Literal[""] = Field(
        default="", description="the role of people whom nothing else gives one; empty: they are not let in"
    )
    openid_new_accounts: bool = Field(
        default=True, description="whether unknown people get an account; false: a superuser makes it first"
    )
    openid_label: str = Field(
        default="your company account", min_length=1, max_length=60, description='the button: "Sign in with …"'
    )
    openid_sign_out: bool = Field(
        default=False, description="whether signing out leads to signing out of the provider too"
    )

    @model_validator(mode="before")
    @classmethod
    def _secret_of_its_file(cls, given: dict[str, Any]) -> dict[str, Any]:
        """Put the secret where the log's filter finds it, wherever it came from."""
        place = given.get("openid_client_secret_file")
        if not place:  # also set to nothing, as a compose file does
            return given | {"openid_client_secret_file": None}
        if given.get("openid_client_secret"):
            raise ValueError("openid_client_secret_file: and openid_client_secret are both set; leave one out")
        try:
            secret = Path(place).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"openid_client_secret_file: cannot be read: {error}") from error
        if not secret:
            raise ValueError(f"openid_client_secret_file: names an empty file, {place}")
        return given | {"openid_client_secret": secret}

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if not self.openid_issuer:
            return self
        if not is_safe_address(self.openid_issuer):
            raise ValueError("openid_issuer: must start with https:// (http:// on this very machine only)")
        if not self.openid_client_id:
            raise ValueError("openid_client_id: is not set, and OpenID Connect needs it")
        if not self.public_url:
            raise ValueError("public_url: is not set, and the provider leads people back to it")
        if bool(self.openid_role_claim) != bool(self.openid_roles):
            raise ValueError("openid_roles: and openid_role_claim belong together; set both or neither")
        if self.openid_new_accounts and not self.openid_default_role and not self.openid_roles:
            raise ValueError(
                "openid_default_role: is not set, and new people would get no role; set it, or openid_roles, or "
                "openid_new_accounts=false"
            )
        return self


class ServeSettings(DatabaseSettings, UsersSettings, KafkaSettings, OpenIdSettings):
    """The HTTP API and the managers' pages."""

    kafka_bootstrap_servers: str = Field(
        default="", description="host:port of Kafka, whose consumers operators see; empty: they do not"
    )

    warehouse_url: Annotated[SecretStr, AfterValidator(_warehouse_url)] | None = Field(
        default=None, description="the warehouse that the pages' charts ask, as for bi-sink; not set: there are none"
    )
    http_address: str = Field(default="127.0.0.1", min_length=1, description="the address to listen on")
    http_port: int = Field(default=8080, ge=0, le=65535, description="the port to listen on")
    trusted_proxies: str = Field(
        default="127.0.0.1", description="addresses of proxies whose X-Forwarded-… headers count, separated by commas"
    )
    environment_name: str = Field(
        default="production",
        pattern=r"^[A-Za-z0-9_.-]{1,60}$",
        description="of which environment QA overrides count for OFREP and clients, where they do not say it",
    )
    ofrep_split_groups: Literal["given", "hashed"] = Field(
        default="given", description="given: clients send split_group; hashed: it is computed from the targeting key"
    )
    session_secret: SecretStr = Field(
        default=SecretStr(""), description="signs sessions, 32 characters or more; empty: the database keeps one"
    )
    session_secret_before: SecretStr = Field(
        default=SecretStr(""), description="the secret until now, which is still believed while the new one signs"
    )
    session_hours: int = Field(default=168, ge=1, le=8760, description="after how many hours people sign in again")
    first_superuser: str = Field(default="", description="the account to make where there is none yet")
    first_superuser_password: SecretStr = Field(default=SecretStr(""), description="the password of that account")
    catalog: Path | None = Field(default=None, description="catalog of filters (TOML); the shipped one by default")

    @field_validator("session_secret", "session_secret_before")
    @classmethod
    def _is_long_enough(cls, value: SecretStr) -> SecretStr:
        if value.get_secret_value() and len(value.get_secret_value()) < _LEAST_SECRET:
            raise ValueError("is too short to be a secret")
        return value

    @model_validator(mode="after")
    def _has_a_secret_after_the_one_before(self) -> Self:
        if self.session_secret_before.get_secret_value() and not self.session_secret.get_secret_value():
            raise ValueError("session_secret: is not set, and there is one before it; set the new one")
        return self

    def session_secrets(self) -> list[str]:
        """Return the secrets that sign sessions, the newest first; none where the database keeps them."""
        both = (self.session_secret.get_secret_value(), self.session_secret_before.get_secret_value())
        return [secret for secret in both if secret]


class NotifierSettings(DatabaseSettings):
    """The notifier: from facts to people."""

    webhook_url: SecretStr = Field(
        default=SecretStr(""), description="where notifications are POSTed; empty: they are only logged"
    )


ALL_SETTINGS: tuple[type[Settings], ...] = (
    Settings,
    DatabaseSettings,
    UsersSettings,
    UsersTableSettings,
    TerminalSettings,
    KafkaSettings,
    WarehouseSettings,
    RegistrySettings,
    MigrateSettings,
    RelaySettings,
    AgentSettings,
    LaidOutSettings,
    AccountSettings,
    OpenIdSettings,
    ServeSettings,
    BiSinkSettings,
    ReplaySettings,
    CodeDeployedSettings,
    NotifierSettings,
)


def variable(field_name: str) -> str:
    """Return the environment variable of a setting."""
    return PREFIX + field_name.upper()


def known_variables() -> frozenset[str]:
    """Return every variable that some process reads; one is read by the SDK."""
    return frozenset(variable(name) for settings in ALL_SETTINGS for name in settings.model_fields) | {SWITCH}


def unknown_variables(environment: Mapping[str, str]) -> Iterable[str]:
    """Yield the variables that look like ours and are not. Those of the test suite have a prefix of their own."""
    for name in environment:
        if name.startswith(PREFIX) and not name.startswith(PREFIX + "TEST_") and name not in known_variables():
            yield name


def _sentences(settings: type[Settings], error: ValidationError) -> Iterable[str]:
    for problem in error.errors(include_url=False, include_input=False):
        said = problem["msg"].removeprefix("Value error, ")
        # A rule between several settings names the one to change itself.
        name, _, rest = said.partition(": ") if not problem["loc"] else (str(problem["loc"][0]), "", said)
        wanted = settings.model_fields[name].description
        if problem["type"] == "missing":
            yield f"{variable(name)} is not set: {wanted}"
        else:
            yield f"{variable(name)} {rest} (wanted: {wanted})"
