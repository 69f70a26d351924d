"""Numbers about users over HTTP: live numbers, previews with their progress, and that none of it changes anything."""

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import duckdb
import pytest

from api.audience import MOST_COUNTS
from tests.support.api import Api, serving
from tests.support.counted_backbone import COUNTRIES, proposal
from warehouse.duckdb_users import DuckDbUsers
from warehouse.generated_users import generate_duckdb

TESTS = "/api/v1/tests"
NUMBERS = "/api/v1/audience/numbers"


@pytest.fixture(scope="module")
def counted(peopled_sqlite_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """The API with five thousand users, and a test In Dev that runs next month in countries 50 and 51."""
    file = shutil.copy(peopled_sqlite_file, tmp_path_factory.mktemp("counted") / "usersplit.db")
    connection = duckdb.connect(":memory:")
    users = DuckDbUsers(connection.cursor)
    generate_duckdb(users, "users", users=5000, seed=5)
    with serving(f"sqlite:///{file}", users=users) as api:
        api.draft("other", by="boris", settings=proposal({"control": 50, "blue": 50}, [COUNTRIES]))
        api.done("boris", "POST", f"{TESTS}/other/publish")
        api.draft("hidden", by="boris", settings=proposal({"control": 50, "blue": 50}, [COUNTRIES]))
        api.draft("mine")
        yield api
    connection.close()


def preview(api: Api, document: Any, *, by: str = "ann", key: str = "mine", accept: str = "application/json") -> Any:
    path = f"{TESTS}/{key}/settings/preview"
    return api.ask(by, "POST", path, json={"proposal": document}, headers={"Accept": accept})


def users_of(api: Api) -> int:
    answer = api.done("ann", "POST", NUMBERS, json={"conditions": [COUNTRIES]})
    return int(answer["users"])


def test_live_numbers_tell_users_and_those_shared_with_other_tests(counted: Api) -> None:
    found = counted.done("ann", "POST", NUMBERS, json={"conditions": [COUNTRIES], "type": "web"})
    assert 0 < found["users"] < 5000
    assert found["shared"] == [{"key": "other", "users": found["users"], "same_type": True}]
    everybody = counted.done("ann", "POST", NUMBERS, json={"conditions": [], "key": "other"})
    assert (everybody["users"], everybody["shared"]) == (5000, [])
    before = {"conditions": [], "starts_at": "2020-01-01T00:00:00Z", "ends_at": "2020-02-01T00:00:00Z"}
    assert counted.done("ann", "POST", NUMBERS, json=before)["shared"] == []


def test_a_preview_says_what_a_proposal_would_become_and_changes_nothing(counted: Api) -> None:
    head = counted.backbone.store.head()
    answer = preview(counted, proposal({"control": 10, "green": 10}, [COUNTRIES])).json()
    assert (answer["settings_group"], answer["users"]) == (1, users_of(counted))
    assert [(each["name"], each["groups"], each["percent"]) for each in answer["variants"]] == [
        ("control", 240, 10.0),
        ("green", 240, 10.0),
    ]
    assert sum(each["users"] for each in answer["variants"]) < answer["users"]
    assert answer["variants"][1]["smallest_effect"] > 0
    # The Draft of somebody else is counted, and not named.
    assert sorted(each["key"] for each in answer["overlaps"]) == ["", "other"]
    assert counted.backbone.store.head() == head
    assert counted.done("ann", "GET", f"{TESTS}/mine")["settings_group"] == 0


def test_a_preview_tells_its_steps_while_it_is_at_work(counted: Api) -> None:
    answer = preview(counted, proposal({"control": 10, "green": 10}, [COUNTRIES]), accept="text/event-stream")
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [chunk.split("\n") for chunk in answer.text.strip().split("\n\n") if not chunk.startswith(":")]
    told = [(lines[0].removeprefix("event: "), json.loads(lines[1].removeprefix("data: "))) for lines in events]
    assert [name for name, _ in told] == ["step", "step", "step", "preview"]
    assert [data["step"] for _, data in told[:-1]] == ["overlaps", "counted", "split_groups"]
    shares = [data["share_done"] for _, data in told[:-1]]
    assert shares == sorted(shares)
    assert told[-1][1]["users"] == users_of(counted)


def test_what_is_wrong_with_a_previewed_proposal_is_said_either_way(counted: Api) -> None:
    wrong = {**proposal({"control": 50, "green": 50}), "ends_at": None}
    assert preview(counted, wrong).json()["error"] == "EndlessTest"
    streamed = preview(counted, wrong, accept="text/event-stream").text
    name, data = streamed.strip().split("\n")
    assert name == "event: problem"
    assert json.loads(data.removeprefix("data: "))["error"] == "EndlessTest"
    unknown = proposal({"control": 50}, [{"filter": "no_such", "operator": "eq", "value": 1}])
    assert preview(counted, unknown).status_code == 422
    path = f"{TESTS}/mine/settings/preview"
    bodies: list[Any] = [{}, {"proposal": []}, {"proposal": {}, "base_rate": 1}, {"proposal": {}, "hint": 1}]
    for body in bodies:
        assert counted.refused("ann", "POST", path, json=body) == (422, "InvalidRequest")


def test_nobody_previews_what_they_may_not_see(counted: Api) -> None:
    document = proposal({"control": 50, "green": 50})
    assert preview(counted, document, by="vera").json()["error"] == "SplitTestNotFound"
    assert preview(counted, document, by="vera", accept="text/event-stream").status_code == 404
    assert preview(counted, document, by="vera", key="other").status_code == 200
    assert counted.refused("", "POST", NUMBERS, json={"conditions": []}) == (401, "NotSignedIn")


def test_so_many_previews_at_once_are_refused(counted: Api) -> None:
    places = counted.app.state.previews
    with places.place(), places.place():
        answer = preview(counted, proposal({"control": 50, "green": 50}))
        assert (answer.status_code, answer.json()["error"]) == (429, "TooManyCounts")
        assert int(answer.headers["retry-after"]) > 0
    assert preview(counted, proposal({"control": 50, "green": 50})).status_code == 200
    with ExitStack() as stack:
        for _ in range(MOST_COUNTS):
            stack.enter_context(counted.app.state.counts.place())
        assert counted.refused("ann", "POST", NUMBERS, json={"conditions": []}) == (429, "TooManyCounts")
    assert users_of(counted) > 0


def test_conditions_that_nobody_can_count_are_refused(counted: Api) -> None:
    for conditions in ([{"filter": "no_such", "operator": "eq", "value": 1}], ["AND"], 5):
        status, _ = counted.refused("ann", "POST", NUMBERS, json={"conditions": conditions})
        assert status == 422


def test_a_user_group_is_previewed_and_estimated(counted: Api) -> None:
    groups = "/api/v1/user-groups"
    counted.done("ann", "POST", groups, json={"key": "premium", "name": "Premium"})
    found = counted.done("ann", "POST", f"{groups}/premium/preview", json=[COUNTRIES])
    assert found["users"] == users_of(counted)
    assert sorted(each["key"] for each in found["shared"]) == ["", "other"]
    counted.done("ann", "POST", f"{groups}/premium/conditions", json=[COUNTRIES])
    assert counted.backbone.estimator is not None
    counted.backbone.estimator.estimate_all()
    estimate = counted.done("ann", "GET", f"{groups}/premium/estimate")
    assert (estimate["state"], estimate["users"]) == ("counted", found["users"])
    assert counted.ask("ann", "POST", f"{groups}/premium/estimate").status_code == 202
    assert counted.done("ann", "GET", f"{groups}/premium/estimate")["state"] == "waiting"
    assert counted.refused("vera", "POST", f"{groups}/premium/estimate") == (403, "NotAllowed")


def test_settings_tell_how_far_their_preparation_is(counted: Api) -> None:
    counted.draft("prepared", settings=proposal({"control": 50, "green": 50}, [COUNTRIES]))
    settings = counted.done("ann", "GET", f"{TESTS}/prepared/settings")
    assert (settings["preparation"], settings["base_rate"]) == (None, 0.1)
    assert settings["variants"][1]["smallest_effect"] > 0
    counted.done("ann", "POST", f"{TESTS}/prepared/settings", json=proposal({"control": 40, "green": 60}, [COUNTRIES]))
    assert counted.done("ann", "GET", f"{TESTS}/prepared/settings")["preparation"] is None
    with counted.backbone.engine.begin() as connection:
        from projections import preparation_steps

        now = counted.app.state.now()
        preparation_steps.tell(connection, "prepared", settings_group=2, step="counted", detail="5 users", at=now)
    preparation = counted.done("ann", "GET", f"{TESTS}/prepared/settings")["preparation"]
    assert (preparation["step"], preparation["share_done"], preparation["detail"]) == ("counted", 0.7, "5 users")
