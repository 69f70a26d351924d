"""QA forces a variant: from the command through the log, the topic, the agent's file and the SDK into BI, and back."""

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import usersplit
from commands.execution import Request
from domain.people import Actor
from entrypoints.clock import now
from entrypoints.embedded import EmbeddedUserSplit
from events.facts import REGISTRY, CodeDeployed, split_test_stream
from notifications.log_notifier import LogNotifier
from usersplit import DirectoryConfigs, Environment, User, UserSplit

KEY = "green_button"
GROUP = "premium_users"
MANAGER = Request(actor=Actor(name="anna"))
QA = Request(actor=Actor(name="vera", may_override=True))
STRANGER = User(id="42", split_group=0, attributes={})
WEB = Environment(platform="web")


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedUserSplit]:
    """All parts in this process, with a test In Dev and an active user group laid out."""
    with EmbeddedUserSplit(tmp_path_factory.mktemp("usersplit"), notifier=LogNotifier()) as parts:
        backbone = parts.backbone
        backbone.split_tests.create(MANAGER, key=KEY, name="Green button")
        backbone.split_tests.propose_settings(MANAGER, KEY, _settings())
        backbone.preparer.prepare(KEY)
        backbone.split_tests.publish(MANAGER, KEY)
        backbone.user_groups.create(MANAGER, key=GROUP, name="Premium")
        backbone.user_groups.propose_conditions(
            MANAGER, GROUP, [{"filter": "country_id", "operator": "in", "value": ["50"]}]
        )
        backbone.user_groups.activate(MANAGER, GROUP)
        yield parts


@pytest.fixture
def service(parts: EmbeddedUserSplit) -> Iterator[UserSplit]:
    """A service in production that reads the agent's files and sends hits."""
    with closing(
        usersplit.connect(
            configs=DirectoryConfigs(parts.config_directory, reload_seconds=0.05),
            bootstrap_servers=parts.embedded_broker.bootstrap_servers,
            app="shop",
            environment_name="production",
        )
    ) as service:
        yield service


def _settings() -> dict[str, Any]:
    return {
        "starts_at": (now() - timedelta(days=1)).isoformat(),
        "ends_at": (now() + timedelta(days=30)).isoformat(),
        "conditions": [],
        "variants": [{"name": "control", "percent": 50, "control": True}, {"name": "green", "percent": 50}],
    }


def _overrides_file(directory: Path) -> dict[str, Any]:
    path = directory / "~overrides.json"
    return dict(json.loads(path.read_bytes())["environments"]) if path.exists() else {}


def _hits_of(parts: EmbeddedUserSplit, unit_id: str) -> list[tuple[str, bool]]:
    rows = _rows(parts, "SELECT unit_id, variant, forced FROM hits")
    return [(variant, forced) for unit, variant, forced in rows if unit == unit_id]


def _code_deployed_by(parts: EmbeddedUserSplit) -> list[str]:
    events = parts.backbone.store.read_stream(split_test_stream(KEY))
    found = [REGISTRY.decode(event.encoded) for event in events]
    return [fact.hit_id for fact in found if isinstance(fact, CodeDeployed)]


def test_a_forced_variant_reaches_the_service_its_hit_is_forced_and_proves_no_code(
    parts: EmbeddedUserSplit, service: UserSplit
) -> None:
    overrides = parts.backbone.overrides
    parts.wait_for("the test is laid out", lambda: "green_button.json" in _names(parts))
    assert service.get_active_variant(KEY, STRANGER, WEB) is None

    overrides.force(QA, unit="user:42", environment="production", key=KEY, variant="green")
    overrides.force(QA, unit="user:42", environment="devel", key=KEY, variant="control")
    parts.wait_for(
        "the service answers what is forced",
        lambda: service.get_active_variant(KEY, STRANGER, WEB, log_hit=False) == "green",
    )
    assert service.get_active_variant(KEY, STRANGER, WEB) == "green"
    assert service.flush(10)
    parts.wait_for("BI has the forced hit", lambda: _hits_of(parts, "42") == [("green", True)])

    tester = User(id="7", split_group=1, attributes={"is_test_user": True})
    assert service.get_active_variant(KEY, tester, WEB) in {"control", "green"}
    assert service.flush(10)
    parts.wait_for("a hit that was not forced deploys the code", lambda: bool(_code_deployed_by(parts)))
    [hit_id] = _code_deployed_by(parts)
    parts.wait_for(
        "BI has that hit", lambda: ("7", hit_id) in _rows(parts, "SELECT unit_id, CAST(hit_id AS VARCHAR) FROM hits")
    )
    assert _rows(parts, "SELECT DISTINCT unit_id FROM hits WHERE NOT forced") == [("7",)]

    overrides.forget(QA, unit="user:42", environment="production")
    parts.wait_for(
        "the service answers again what the test gives",
        lambda: service.get_active_variant(KEY, STRANGER, WEB, log_hit=False) is None,
    )
    assert _overrides_file(parts.config_directory)["devel"]["forced"] == {"user:42": {KEY: "control"}}


def test_an_autotest_disables_all_tests_and_enables_one(parts: EmbeddedUserSplit, service: UserSplit) -> None:
    tester = User(id="8", split_group=2, attributes={"is_test_user": True})

    def gets() -> str | None:
        return service.get_active_variant(KEY, tester, WEB, log_hit=False)

    parts.wait_for("the test user gets a variant", lambda: gets() is not None)
    parts.backbone.overrides.disable_tests(QA, unit="user:8", environment="production")
    parts.wait_for("the test user gets none", lambda: gets() is None)
    parts.backbone.overrides.enable_test(QA, unit="user:8", environment="production", key=KEY)
    parts.wait_for("the test user gets the enabled one", lambda: gets() is not None)


def test_a_user_group_is_switched_on_and_off_for_services(parts: EmbeddedUserSplit, service: UserSplit) -> None:
    payer = User(id="9", split_group=3, attributes={"country_id": 50})
    other = User(id="10", split_group=3, attributes={"country_id": 1})

    parts.wait_for("the group is on", lambda: service.is_in_group(GROUP, payer))
    assert not service.is_in_group(GROUP, other)
    parts.backbone.user_groups.switch_off(MANAGER, GROUP)
    parts.wait_for("the group is off", lambda: not service.is_in_group(GROUP, payer))
    assert json.loads((parts.config_directory / f"~user_group.{GROUP}.json").read_bytes())["status"] == "off"


def _rows(parts: EmbeddedUserSplit, query: str) -> list[Any]:
    return parts.warehouse.cursor().execute(query).fetchall()


def _names(parts: EmbeddedUserSplit) -> set[str]:
    return {path.name for path in parts.config_directory.iterdir()}
