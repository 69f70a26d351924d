"""The HTTP API over a fresh database, asked by people with accounts."""

import shutil
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from fastapi import FastAPI

from accounts.desk import Desk
from accounts.identity import PERMISSIONS, Role
from api.app import create_app
from api.evaluations import live_configs, ofrep_server
from api.front import Front
from api.live_configs import LiveConfigs
from api.measured import observe_nothing
from api.proxies import Proxies
from entrypoints.backbone import Backbone
from entrypoints.clock import now
from tests.support.people import PASSWORD, open_desk, sign_up
from tests.support.voices import said_by
from warehouse.traffic import HitTraffic
from warehouse.users import UsersDatabase

with warnings.catch_warnings():
    # It would rather have a successor of httpx, which nothing else here needs.
    warnings.filterwarnings("ignore", message="Using `httpx` with")
    from starlette.testclient import TestClient

PEOPLE: Final[Mapping[str, Role]] = {
    "root": "superuser",
    "ann": "manager",
    "boris": "manager",
    "dora": "developer",
    "quentin": "qa",
    "vera": "viewer",
}


SETTINGS: Final[Mapping[str, Any]] = {
    "starts_at": "2026-01-01",
    "ends_at": "2099-01-01",
    "conditions": [{"filter": "country_id", "operator": "in", "value": ["50"]}],
    "variants": [{"name": "control", "percent": 50, "control": True}, {"name": "green", "percent": 50}],
}
"""Settings under which everybody in country 50 gets a variant, for as long as these tests will run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """The application, its parts, and a client for each of `PEOPLE`."""

    app: FastAPI
    front: Front
    live: LiveConfigs
    backbone: Backbone
    desk: Desk
    client: TestClient
    tokens: dict[str, str] = field(default_factory=dict)

    def headers(self, name: str) -> dict[str, str]:
        """The headers with which `name` asks; nobody if it is empty."""
        if not name:
            return {}
        if name not in self.tokens:
            _, self.tokens[name] = self.desk.tokens.create(name, label="test", scopes=PERMISSIONS)
        return {"Authorization": f"Bearer {self.tokens[name]}"}

    def ask(self, name: str, method: str, path: str, **rest: Any) -> httpx.Response:
        """Ask as `name`."""
        headers = {**self.headers(name), **rest.pop("headers", {})}
        response: httpx.Response = self.client.request(method, path, headers=headers, **rest)
        return response

    def browser(self) -> TestClient:
        """Return a browser of its own, in which nobody has signed in."""
        return TestClient(self.app, raise_server_exceptions=False)

    def signed_in(self, name: str) -> TestClient:
        """Return a browser of its own in which `name` has signed in."""
        browser = self.browser()
        answer = browser.post("/api/v1/session", json={"name": name, "password": PASSWORD})
        assert answer.status_code == 200, answer.text
        browser.headers["Origin"] = "http://testserver"
        return browser

    def draft(self, key: str, *, by: str = "ann", settings: Any = None) -> None:
        """Make a Draft; with settings, they are proposed and prepared."""
        self.done(by, "POST", "/api/v1/tests", json={"key": key, "name": f"The {key}"})
        if settings is not None:
            self.propose(key, settings, by=by)

    def propose(self, key: str, settings: Any, *, by: str = "ann") -> None:
        """Propose settings and prepare them."""
        self.done(by, "POST", f"/api/v1/tests/{key}/settings", json=settings)
        assert self.backbone.preparer.prepare(key)

    def done(self, name: str, method: str, path: str, **rest: Any) -> Any:
        """Ask for what must succeed; return the JSON of the answer."""
        response = self.ask(name, method, path, **rest)
        assert response.is_success, f"{method} {path}: {response.status_code} {response.text}"
        return response.json() if response.content else None

    def refused(self, name: str, method: str, path: str, **rest: Any) -> tuple[int, str]:
        """Ask for what must be refused with a problem document; return its status and error."""
        response = self.ask(name, method, path, **rest)
        assert response.headers["content-type"] == "application/problem+json", response.text
        document = response.json()
        assert document["status"] == response.status_code
        assert document["type"].endswith(document["error"])
        assert document["title"]
        assert document["detail"]
        return response.status_code, document["error"]


@contextmanager
def serving(
    database_url: str, *, users: UsersDatabase | None = None, traffic: HitTraffic | None = None
) -> Iterator[Api]:
    """Yield the API over the database at `database_url`, which has the newest schema."""
    backbone = Backbone(database_url, users=users)
    desk = open_desk(backbone.engine)
    live = live_configs(backbone)
    app = create_app(backbone, desk, now=now, live=live, traffic=traffic)
    proxies = Proxies("127.0.0.1")
    ofrep = ofrep_server(
        live,
        desk,
        proxies,
        environment_name="production",
        split_groups="given",
        observe=observe_nothing,
        now_ns=time.time_ns,
    )
    try:
        front = Front(app, ofrep, proxies)
        with TestClient(front, raise_server_exceptions=False, base_url="http://testserver") as client:
            yield Api(app=app, front=front, live=live, backbone=backbone, desk=desk, client=client)
    finally:
        backbone.close()


def audit_lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what the audit log was told."""
    return [record.getMessage() for record in said_by("usersplit.audit", caplog)]


@pytest.fixture(scope="session")
def peopled_sqlite_file(migrated_sqlite_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the newest schema and the accounts of `PEOPLE`, to be copied."""
    file = tmp_path_factory.mktemp("peopled") / "template.db"
    shutil.copy(migrated_sqlite_file, file)
    backbone = Backbone(f"sqlite:///{file}")
    sign_up(open_desk(backbone.engine), *PEOPLE.items())
    backbone.projector.catch_up()
    backbone.close()
    return file


@pytest.fixture
def api(peopled_sqlite_file: Path, tmp_path: Path) -> Iterator[Api]:
    """The API over a fresh SQLite file."""
    file = shutil.copy(peopled_sqlite_file, tmp_path / "usersplit.db")
    with serving(f"sqlite:///{file}") as served:
        yield served
