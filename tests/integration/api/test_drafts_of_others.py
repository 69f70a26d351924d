"""A Draft exists for its author, its managers and superusers: nothing that anybody else can ask tells of it."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from fastapi.routing import iter_route_contexts

from events.user_group_estimate_facts import SharedWithTest
from tests.support.api import SETTINGS, Api, serving

HIDDEN: Final = "hush_hush"
UNKNOWN: Final = "never_made"
HIDDEN_CIRCLE: Final = "quiet_circle"
SEEN: Final = "big_photo"
OTHERS: Final = ("boris", "dora", "quentin", "vera")
SERVERS_KEEP: Final = {"/api/v1/configs", "/api/v1/configs/{key}"}
"""What servers were told of a test that was In Dev stays with them, and says only that it is over for them."""

OF_TESTS: Final = "/api/v1/tests/{key}"
OF_CIRCLES: Final = "/api/v1/user-groups/{key}"
PLACE: Final = {"unit": "user:1", "environment": "devel"}
VISIT: Final = {"user": {"id": "1", "split_group": 7, "attributes": {"country_id": 50}}}


@pytest.fixture(scope="module")
def withdrawn(peopled_sqlite_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """Ann's test was In Dev, overlapped with Boris', and is a Draft again. Nothing below changes it."""
    file = shutil.copy(peopled_sqlite_file, tmp_path_factory.mktemp("drafts") / "usersplit.db")
    with serving(f"sqlite:///{file}") as api:
        make_history(api)
        yield api


def make_history(api: Api) -> None:
    api.draft(HIDDEN, settings=SETTINGS)
    api.done("ann", "POST", f"/api/v1/tests/{HIDDEN}/publish")
    api.draft(SEEN, by="boris", settings=SETTINGS)
    api.done("boris", "POST", f"/api/v1/tests/{SEEN}/publish")
    api.propose(SEEN, {**SETTINGS, "ends_at": "2098-01-01"}, by="boris")
    told = api.ask("boris", "GET", f"/api/v1/tests/{SEEN}/settings").text
    assert HIDDEN in told, "it overlaps, or this test shows nothing"
    api.done("ann", "POST", "/api/v1/overrides/force", json={**PLACE, "key": HIDDEN, "variant": "green"})
    api.done("boris", "POST", "/api/v1/user-groups", json={"key": SEEN, "name": "A circle"})
    api.done("boris", "POST", f"/api/v1/user-groups/{SEEN}/conditions", json=SETTINGS["conditions"])
    api.done("boris", "POST", f"/api/v1/user-groups/{SEEN}/activate")
    estimates = api.backbone.user_group_estimates
    _, settings_group, version = estimates.waiting(SEEN)
    estimates.record_estimated(
        SEEN,
        settings_group=settings_group,
        as_of_position=api.backbone.store.head(),
        users=9,
        shared=(SharedWithTest(key=HIDDEN, settings_group=1, users=5),),
        assumed_filters=(),
        expected_version=version,
    )
    for told_of in ("changelog", "estimate"):
        assert HIDDEN in api.ask("boris", "GET", f"/api/v1/user-groups/{SEEN}/{told_of}").text
    assert HIDDEN in api.ask("boris", "GET", "/api/v1/overrides").text
    api.done("ann", "POST", f"/api/v1/tests/{HIDDEN}/unpublish")
    api.draft("never_published")
    api.done("ann", "POST", "/api/v1/user-groups", json={"key": HIDDEN_CIRCLE, "name": "A quiet circle"})
    api.done("ann", "POST", f"/api/v1/user-groups/{HIDDEN_CIRCLE}/conditions", json=SETTINGS["conditions"])
    api.live.refresh()


def asked(api: Api) -> Iterator[tuple[str, str]]:
    """Every method and path of the API."""
    for route in iter_route_contexts(api.app.routes):
        for method in sorted((route.methods or set()) - {"HEAD"}):
            yield method, str(route.path)


def filled(path: str, key: str) -> str:
    return "/".join(key if part.startswith("{") else part for part in path.split("/"))


def test_no_answer_names_it(withdrawn: Api) -> None:
    queries = ("", "?search=hush", "?status=draft", "?mine=false", "?limit=1000", "?at=2098-01-01T00:00:00Z")
    for name in OTHERS:
        for method, path in asked(withdrawn):
            if method != "GET" or path in SERVERS_KEEP:
                continue
            for query in queries if name == OTHERS[0] else queries[:1]:
                answer = withdrawn.ask(name, "GET", filled(path, SEEN) + query, follow_redirects=False)
                assert HIDDEN not in answer.text, (name, path, query)
                assert HIDDEN_CIRCLE not in answer.text, (name, path, query)
        everything = withdrawn.ask(name, "POST", "/api/v1/checks", json=VISIT)
        assert everything.status_code == 200, everything.text
        assert HIDDEN not in everything.text
        assert SEEN in everything.text
    for position in range(1, withdrawn.backbone.store.head() + 1):
        as_of = f"/api/v1/tests/{SEEN}/as-of?position={position}"
        assert HIDDEN not in withdrawn.ask("boris", "GET", as_of).text, position


def test_its_author_and_superusers_do_see_it(withdrawn: Api) -> None:
    for name in ("ann", "root"):
        assert HIDDEN_CIRCLE in withdrawn.ask(name, "GET", "/api/v1/user-groups").text
        assert HIDDEN in withdrawn.ask(name, "GET", "/api/v1/tests").text
        assert HIDDEN in withdrawn.ask(name, "GET", f"/api/v1/tests/{SEEN}/changelog").text
        assert HIDDEN in withdrawn.ask(name, "GET", f"/api/v1/tests/{SEEN}/settings").text


def shape(api: Api, name: str, method: str, path: str, key: str) -> Any:
    bodies: dict[str, Any] = {
        "check": VISIT,
        "check-as-of": VISIT,
        "settings": SETTINGS,
        "managers": {"add": [name]},
        "finish": {"resulting_variant": "green"},
    }
    body = bodies.get(path.rsplit("/", 1)[-1], {"name": "Mine now"} if method == "PATCH" else None)
    query = "?position=1" if "as-of" in path else ""
    answer = api.ask(name, method, filled(path, key) + query, json=body, headers={"If-Match": '"1"'})
    return answer.status_code, answer.text.replace(key, "KEY")


@pytest.mark.parametrize(("prefix", "key"), [(OF_TESTS, HIDDEN), (OF_CIRCLES, HIDDEN_CIRCLE)])
def test_every_question_about_it_is_answered_as_about_what_never_was(withdrawn: Api, prefix: str, key: str) -> None:
    ways = [(method, path) for method, path in asked(withdrawn) if path.startswith(prefix)]
    assert len(ways) > 10
    before = withdrawn.backbone.store.head()
    for name in OTHERS:
        for method, path in ways:
            hidden = shape(withdrawn, name, method, path, key)
            assert hidden == shape(withdrawn, name, method, path, UNKNOWN), (name, method, path)
            assert hidden[0] >= 400, (name, method, path, hidden)
    assert withdrawn.backbone.store.head() == before


@pytest.mark.parametrize("step", ["force", "forget", "enable-test"])
def test_who_overrides_learns_nothing_of_it(withdrawn: Api, step: str) -> None:
    def tried(key: str) -> tuple[int, str]:
        wanted = {**PLACE, "key": key} | ({"variant": "green"} if step == "force" else {})
        answer = withdrawn.ask("quentin", "POST", f"/api/v1/overrides/{step}", json=wanted)
        return answer.status_code, answer.text.replace(key, "KEY")

    assert tried(HIDDEN) == tried(UNKNOWN)
    assert tried(HIDDEN)[0] >= 400


def test_clients_get_of_it_what_they_get_of_a_test_that_never_was(withdrawn: Api) -> None:
    visit = {**VISIT, "supported": [HIDDEN, UNKNOWN, SEEN]}
    assert HIDDEN not in withdrawn.ask("vera", "POST", "/api/v1/client/variants", json=visit).text
    context = {"context": {"targetingKey": "1", "split_group": 7, "country_id": 50}}
    path = "/ofrep/v1/evaluate/flags"
    assert HIDDEN not in withdrawn.ask("vera", "POST", path, json=context).text
    hidden, unknown = (withdrawn.ask("vera", "POST", f"{path}/{key}", json=context) for key in (HIDDEN, UNKNOWN))
    assert (hidden.status_code, hidden.text.replace(HIDDEN, "KEY")) == (
        unknown.status_code,
        unknown.text.replace(UNKNOWN, "KEY"),
    )
    checked = withdrawn.done("vera", "POST", "/api/v1/checks", json={**VISIT, "keys": [HIDDEN, UNKNOWN]})
    assert str(checked).count(HIDDEN) == str(checked).count(UNKNOWN)


def test_what_servers_keep_of_it_says_only_that_it_is_over_for_them(withdrawn: Api) -> None:
    document = withdrawn.done("vera", "GET", f"/api/v1/configs/{HIDDEN}")
    assert set(document) <= {"format", "kind", "key", "position", "status"}
    assert "never_published" not in withdrawn.ask("vera", "GET", "/api/v1/configs").text
    assert withdrawn.ask("vera", "GET", "/api/v1/configs/never_published").status_code == 404
