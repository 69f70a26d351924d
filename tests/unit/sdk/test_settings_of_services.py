"""What nothing could work with is refused when the service starts, with the name of the setting."""

from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import libversion

import usersplit
from usersplit import DirectoryConfigs, HitLogger, HttpConfigs, InvalidSetting, MemoryHitTransport
from usersplit._kafka_transport import ASKED_FROM_LIBRDKAFKA

TASKS = Path("/proc/self/task")  # the threads of this process, those of Kafka's client too, where the system lists them
TOKEN = "usersplit_token"  # noqa: S105 - of no server
GOOD: dict[str, Any] = {"bootstrap_servers": "kafka:9092", "app": "shop", "environment_name": "devel"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("bootstrap_servers", ""),
        ("app", ""),
        ("app", None),
        ("environment_name", " "),
        ("topic", ""),
        ("capacity", 0),
        ("capacity", True),
        ("capacity", "1000"),
        ("capacity_bytes", -1),
        ("spool_bytes", 0),
        ("remembered_exposures", -1),
        ("reload_seconds", 0),
        ("reload_seconds", float("inf")),
        ("reload_seconds", float("nan")),
        ("reload_seconds", "1"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_by_name(tmp_path: Path, name: str, value: object) -> None:
    with pytest.raises(InvalidSetting, match=f"^{name} must be"):
        usersplit.connect(configs=tmp_path, **{**GOOD, name: value})


@pytest.mark.skipif(libversion()[1] < ASKED_FROM_LIBRDKAFKA, reason="older clients are not asked before the first hit")
@pytest.mark.parametrize(
    ("kafka", "sentence"),
    [
        ({"no.such.setting": 1}, 'No such configuration property: "no.such.setting"'),
        ({"compression.type": "zippy"}, "zippy"),
        ({"security.protocol": "SSL", "ssl.ca.location": "/not/there"}, "ssl.ca.location"),
        ({"security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN"}, "sasl.username"),
        ({"linger.ms": object()}, "refuses a setting"),
    ],
)
def test_what_kafkas_client_refuses_is_refused_at_once(tmp_path: Path, kafka: dict[str, Any], sentence: str) -> None:
    threads = len(list(TASKS.iterdir())) if TASKS.exists() else 0
    with pytest.raises(InvalidSetting, match=sentence):
        usersplit.connect(configs=tmp_path, kafka=kafka, **GOOD)
    assert not threads or len(list(TASKS.iterdir())) <= threads


def test_a_client_that_was_made_has_no_connection_and_no_thread_of_kafka(tmp_path: Path) -> None:
    usersplit.connect(configs=tmp_path, **GOOD).close()  # the client's library is loaded, and has started what it wants
    threads = len(list(TASKS.iterdir())) if TASKS.exists() else 0
    with usersplit.connect(configs=tmp_path, **GOOD):
        assert not threads or len(list(TASKS.iterdir())) <= threads + 1  # the one that reads configs


def test_write_ahead_needs_a_place() -> None:
    with pytest.raises(InvalidSetting, match="spool_directory"):
        HitLogger(MemoryHitTransport(), app="a", environment_name="devel", write_ahead=True)


def test_a_module_that_is_missing_is_an_error_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ImportError, match="no_such_module"):
        usersplit.connect(configs=tmp_path, additional_conditions="no_such_module", **GOOD)


def test_a_refused_setting_leaves_nothing_to_close(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="reload_seconds"):
        DirectoryConfigs(tmp_path, reload_seconds=-1)


@pytest.mark.parametrize(
    "url",
    [
        *("", "usersplit.example.com", "file:///etc/passwd", "ftp://a", "http://", "https://a?b", "https://ann:x@a"),
        *("http://[::1", "http://a:eighty", "http://a:99999", "http://a:0", "http://a b", "http://a\n", "http://a\0"),
        *(None, 80, b"http://a"),
    ],
)
def test_an_address_that_is_none_is_refused(url: Any) -> None:
    with pytest.raises(InvalidSetting, match="address"):
        HttpConfigs(url, token=TOKEN)


@pytest.mark.parametrize("token", ["", "a b", "a\nHost: evil", "ж", None, b"secret"])
def test_a_token_that_is_none_is_refused_and_not_shown(token: Any) -> None:
    with pytest.raises(InvalidSetting, match="The token is no API token") as refused:
        HttpConfigs("https://a", token=token)
    assert not token or str(token) not in str(refused.value)


def test_a_timeout_that_leaves_no_time_is_refused() -> None:
    with pytest.raises(InvalidSetting, match="timeout_seconds must be a number of seconds above 0, not 0"):
        HttpConfigs("https://a", token=TOKEN, timeout_seconds=0)


def test_an_address_where_a_directory_belongs_is_refused() -> None:
    with pytest.raises(InvalidSetting, match="HttpConfigs"):
        usersplit.connect(configs="https://a", bootstrap_servers="kafka", app="a", environment_name="devel")
