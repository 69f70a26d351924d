"""Configs over HTTP: asked for with an ETag, and never worse than the last good ones, whatever a server does."""

import gzip
import json
import logging
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.support.sdk_config_documents import config_document
from tests.support.voices import said_by
from usersplit import Checker, HttpConfigs, User

TOKEN = "usersplit_token"  # noqa: S105 - of a server that lives for a test
GROUP = {
    "format": 1,
    "kind": "user_group",
    "key": "staff",
    "position": 5,
    "status": "active",
    "settings_group": 1,
    "conditions": [],
    "filters": {},
}


def body_of(*documents: Any) -> bytes:
    return json.dumps({"documents": documents}).encode()


@dataclass
class Server:
    """Answers as it is told, and remembers how it was asked."""

    body: bytes = field(default_factory=body_of)
    etag: str = '"1"'
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    dripping_seconds: float = 0.0
    asked: list[dict[str, str]] = field(default_factory=list)
    address: str = ""

    def put(self, *documents: Any) -> None:
        self.body = body_of(*documents)
        self.etag = f'"{int(self.etag.strip(chr(34))) + 1}"'


class Handler(BaseHTTPRequestHandler):
    script: Server

    def do_GET(self) -> None:
        script = self.script
        script.asked.append({"path": self.path, **{name.lower(): value for name, value in self.headers.items()}})
        is_known = script.status == 200 and self.headers["If-None-Match"] == script.etag
        self.send_response(304 if is_known else script.status)
        for name, value in {"ETag": script.etag, **script.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if not is_known and not script.dripping_seconds:
            self.wfile.write(script.body)
        began = time.monotonic()
        while time.monotonic() - began < script.dripping_seconds:
            try:
                self.wfile.write(b" ")
            except OSError:
                return
            time.sleep(0.005)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the interface's
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    script = Server(body=body_of(config_document(position=10)))
    listening = ThreadingHTTPServer(("127.0.0.1", 0), type("Scripted", (Handler,), {"script": script}))
    script.address = f"http://127.0.0.1:{listening.server_port}"
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.005}, daemon=True)
    thread.start()
    yield script
    listening.shutdown()
    listening.server_close()
    thread.join()


def opened(server: Server, **settings: Any) -> HttpConfigs:
    return HttpConfigs(server.address, token=TOKEN, **{"reload_seconds": 1000, **settings})


@pytest.fixture
def configs(server: Server) -> Iterator[HttpConfigs]:
    with opened(server) as configs:
        yield configs


def status_of(configs: HttpConfigs, key: str = "green_button") -> str | None:
    config = configs.find(key)
    return None if config is None else config.status


def test_the_first_check_finds_what_the_server_has(server: Server, configs: HttpConfigs) -> None:
    assert (configs.keys(), status_of(configs), configs.problems()) == (("green_button",), "running", ())
    (asked,) = server.asked
    assert (asked["path"], asked["authorization"]) == ("/api/v1/configs", f"Bearer {TOKEN}")
    assert "if-none-match" not in asked
    assert configs.staleness_seconds() < 60


def test_it_asks_with_the_etag_and_takes_changes_only(server: Server, configs: HttpConfigs) -> None:
    before = configs.published.current
    configs.reload()
    assert server.asked[-1]["if-none-match"] == '"1"'
    assert configs.published.current is before
    kept = before.tests["green_button"]
    server.put(config_document(position=10), config_document("another", position=3), GROUP)
    configs.reload()
    assert configs.find("green_button") is kept, "what did not change is not compiled anew"
    assert status_of(configs, "another") == "running"
    assert Checker(configs).is_in_group("staff", User(id=1, split_group=1))
    server.put(config_document("another", position=3))
    configs.reload()
    assert configs.keys() == ("another",)


def test_overrides_of_qa_travel_along(server: Server, configs: HttpConfigs) -> None:
    forced = {"production": {"forced": {"user:42": {"green_button": "red"}}, "disabled": {}}}
    overrides = {"format": 1, "kind": "overrides", "key": "~overrides", "position": 11, "environments": forced}
    checker = Checker(configs, environment_name="production")
    ada = User(id=42, split_group=2399)
    assert checker.get_active_variant("green_button", ada) is None
    server.put(config_document(position=10), overrides)
    configs.reload()
    assert checker.explain("green_button", ada).reason == "forced"
    server.put(config_document(position=10))
    configs.reload()
    assert checker.get_active_variant("green_button", ada) is None


def test_a_change_arrives_in_the_background(server: Server) -> None:
    with opened(server, reload_seconds=0.005) as configs:
        server.put(config_document(position=11, status="paused"))
        deadline = time.monotonic() + 10
        while status_of(configs) != "paused":
            assert time.monotonic() < deadline
            time.sleep(0.005)


def test_gzip_is_understood(server: Server, configs: HttpConfigs) -> None:
    assert server.asked[0]["accept-encoding"] == "gzip"
    server.put(config_document(position=11, status="paused"))
    server.body, server.headers = gzip.compress(server.body), {"Content-Encoding": "gzip"}
    configs.reload()
    assert status_of(configs) == "paused"
    server.put(config_document(position=12))
    server.body = gzip.compress(server.body)[:-9]
    configs.reload()
    assert status_of(configs) == "paused"
    assert "torn" in configs.problems()[0].reason


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"status": 401}, "does not know the token: make a new one, with the scope read (401)"),
        ({"status": 403}, "it needs the scope read (403)"),
        ({"status": 404}, "is it the address of UserSplit? (404)"),
        ({"status": 503}, "refuses (503)"),
        ({"status": 304, "etag": '"2"'}, ""),
        (
            {"status": 301, "headers": {"Location": "http://127.0.0.1:1/"}},
            "points elsewhere (301, http://127.0.0.1:1/)",
        ),
        ({"body": b"<html>Welcome to the hotel</html>"}, "no list of config documents"),
        ({"body": b""}, "no list of config documents"),
        ({"body": b"\xff\xfe"}, "no list of config documents"),
        ({"body": body_of(config_document(position=11, status="paused"))[:-2]}, "may be torn"),
        ({"body": body_of([])}, "without a key"),
        ({"body": body_of({**config_document(), "key": 7})}, "without a key"),
        ({"headers": {"Content-Encoding": "gzip"}}, "cannot be asked (error: "),
    ],
)
def test_an_answer_that_is_none_changes_nothing_and_is_said_once(
    server: Server,
    configs: HttpConfigs,
    caplog: pytest.LogCaptureFixture,
    changes: dict[str, Any],
    sentence: str,
) -> None:
    caplog.set_level(logging.WARNING, logger="usersplit.configs")
    server.etag = '"9"'
    for name, value in changes.items():
        setattr(server, name, value)
    for _ in range(3):
        configs.reload()
    assert status_of(configs) == "running"
    if sentence:
        (problem,) = configs.problems()
        assert problem.file == ""
        assert sentence in problem.reason
        assert problem.reason.endswith("The configs in hand stay in force.")
        assert TOKEN not in caplog.text
        assert len(said_by("usersplit.configs", caplog)) == 1
    server.status, server.headers, server.etag = 200, {}, '"10"'
    server.put(config_document(position=12, status="paused"))
    configs.reload()
    assert (status_of(configs), configs.problems()) == ("paused", ())


@pytest.mark.parametrize(
    "document",
    [
        config_document(position=11, format=2),
        config_document(position=11, variants=None),
        config_document(position=9, status="paused"),
        config_document(position="11"),
    ],
    ids=["future", "malformed", "older", "no position"],
)
def test_a_bad_document_leaves_the_last_good_one_and_the_others_go_on(
    server: Server, configs: HttpConfigs, document: Any
) -> None:
    server.put(document, config_document("another"))
    for _ in range(2):
        configs.reload()
        assert (status_of(configs), status_of(configs, "another")) == ("running", "running")
        assert [problem.file for problem in configs.problems()] == ["green_button"]
    server.put(config_document(position=12, status="paused"), config_document("another"))
    configs.reload()
    assert (status_of(configs), configs.problems()) == ("paused", ())


def test_documents_of_kinds_that_are_not_known_yet_are_passed_over(server: Server, configs: HttpConfigs) -> None:
    server.put(config_document(position=10), {"format": 1, "kind": "holdout", "key": "all"})
    configs.reload()
    assert (configs.keys(), configs.problems()) == (("green_button",), ())


def test_a_server_that_is_away_shows_as_staleness(server: Server) -> None:
    moments = iter([100.0, 107.5, 108.0, 120.0])
    with opened(server, monotonic=lambda: next(moments)) as configs:
        assert configs.staleness_seconds() == 7.5
        server.status = 503
        configs.reload()
        assert configs.staleness_seconds() == 8.0
        server.status = 200
        configs.reload()
    assert configs.problems() == ()


def test_an_answer_that_drips_in_ends_at_the_timeout(server: Server) -> None:
    server.dripping_seconds = 30
    with opened(server, timeout_seconds=0.05) as configs:
        assert "did not answer within 0.05 seconds" in configs.problems()[0].reason
    server.dripping_seconds = 0


def test_nobody_at_the_address_is_no_error(tmp_path: Path) -> None:
    with HttpConfigs("http://127.0.0.1:9", token=TOKEN, cache_file=tmp_path / "configs") as configs:
        assert (configs.keys(), configs.staleness_seconds()) == ((), float("inf"))
        assert "cannot be asked (URLError" in configs.problems()[0].reason


def test_a_service_that_starts_while_the_server_is_away_begins_with_what_was_kept(
    server: Server, tmp_path: Path
) -> None:
    kept = tmp_path / "configs.json"
    with opened(server, cache_file=kept):
        assert [path.name for path in tmp_path.iterdir()] == ["configs.json"]
        assert kept.stat().st_mode & 0o077 == 0
    server.status = 503
    with opened(server, cache_file=kept) as configs:
        assert (status_of(configs), configs.staleness_seconds()) == ("running", float("inf"))
        assert f"the configs kept in {kept} at 20" in configs.problems()[0].reason
        server.status = 200
        configs.reload()
        assert (status_of(configs), configs.problems()) == ("running", ())


@pytest.mark.parametrize("text", [b"", b"{", body_of(config_document())[:-40], body_of(7)])
def test_what_was_kept_and_is_torn_is_not_used(server: Server, tmp_path: Path, text: bytes) -> None:
    (tmp_path / "configs.json").write_bytes(text)
    server.status = 503
    with opened(server, cache_file=tmp_path / "configs.json") as configs:
        assert configs.keys() == ()
        assert "cannot be used" in configs.problems()[0].reason


def test_a_place_that_cannot_be_written_is_a_problem_and_nothing_else(server: Server, tmp_path: Path) -> None:
    with opened(server, cache_file=tmp_path / "missing" / "configs.json") as configs:
        assert status_of(configs) == "running"
        assert [problem.file for problem in configs.problems()] == ["configs.json"]
        (tmp_path / "missing").mkdir()
        server.put(config_document(position=11))
        configs.reload()
        assert configs.problems() == ()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks are a thing of Unix")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_asks_for_itself(server: Server) -> None:
    with opened(server, reload_seconds=0.005) as configs:
        checker = Checker(configs)
        child = os.fork()
        if not child:
            checker.get_active_variant("green_button", User(id=1, split_group=1))  # wakes it
            deadline = time.monotonic() + 10
            while status_of(configs) != "paused" and time.monotonic() < deadline:
                time.sleep(0.005)
            os._exit(0 if status_of(configs) == "paused" else 1)
        server.put(config_document(position=11, status="paused"))
        assert os.waitpid(child, 0)[1] == 0
