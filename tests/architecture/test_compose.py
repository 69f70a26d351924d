"""docker-compose.yml against the typed settings: it sets nothing unknown, and everything that is required."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from entrypoints.process_settings import SETTINGS_OF
from entrypoints.settings import Settings, known_variables, variable

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
OURS = {name: service for name, service in COMPOSE["services"].items() if service.get("image") == "usersplit-app"}
REQUIRED_SERVICES = {"kafka", "postgres", "migrate"}


def required(settings: type[Settings]) -> set[str]:
    return {variable(name) for name, field in settings.model_fields.items() if field.is_required()}


def settings_of(service: dict[str, Any]) -> type[Settings]:
    return SETTINGS_OF[service["command"][0]]


@pytest.mark.parametrize("name", OURS)
def test_a_service_sets_only_what_its_process_reads(name: str) -> None:
    read = {variable(field) for field in settings_of(OURS[name]).model_fields}
    assert set(OURS[name]["environment"]) <= read


@pytest.mark.parametrize("name", OURS)
def test_a_service_sets_everything_its_process_requires(name: str) -> None:
    assert required(settings_of(OURS[name])) <= set(OURS[name]["environment"])


def test_every_process_has_a_service() -> None:
    assert {service["command"][0] for service in OURS.values()} == set(SETTINGS_OF)


def test_no_password_stands_in_the_file() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    for line in text.splitlines():
        if re.search(r"password\s*:|://[^$]*:[^$]*@", line, flags=re.IGNORECASE):
            assert "${POSTGRES_PASSWORD:?" in line, line


def test_every_service_tells_its_health_and_restarts() -> None:
    for name, service in COMPOSE["services"].items():
        if name != "migrate":  # runs once and ends
            assert service["healthcheck"]["test"], name
            assert service["restart"] == "unless-stopped", name


def test_processes_wait_for_the_migration() -> None:
    for name, service in OURS.items():
        if name != "migrate":
            assert service["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}, name


def test_state_lives_on_named_volumes() -> None:
    for service in COMPOSE["services"].values():
        for volume in service.get("volumes", ()):
            assert volume.split(":")[0] in COMPOSE["volumes"]
    assert set(COMPOSE["services"]) >= REQUIRED_SERVICES


def test_the_variables_of_the_settings_are_known() -> None:
    assert variable("database_url") in known_variables()
