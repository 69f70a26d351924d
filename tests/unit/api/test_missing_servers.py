"""What servers miss is looked up at once after a fact, and for reports after a second at most."""

from datetime import UTC, datetime

from api.missing_servers import FRESH_SECONDS, MissingServersMemory
from events.database import write_transaction
from projections.laid_out import Report, record
from tests.support.api import SETTINGS, Api

TESTS = "/api/v1/tests"


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def report(api: Api, offset: int, **tests: int) -> None:
    """Let the server web-1 say what it has laid out."""
    said = Report(environment="production", host="web-1", position=9, tests=tests)
    with write_transaction(api.backbone.engine) as connection:
        record(connection, said, offset=offset, at=datetime.now(UTC))


def missing(api: Api, key: str = "big_photo") -> tuple[list[str], int]:
    found = api.done("ann", "GET", f"{TESTS}/{key}")
    return found["not_laid_out_on"], found["live_servers"]


def test_a_report_is_seen_within_a_second_and_a_fact_at_once(api: Api) -> None:
    clock = Clock()
    api.app.state.missing_servers = MissingServersMemory(clock)
    api.draft("big_photo", settings=SETTINGS)
    api.done("ann", "POST", f"{TESTS}/big_photo/publish")
    assert missing(api) == ([], 0)
    report(api, 1)
    clock.seconds += FRESH_SECONDS / 2
    assert missing(api) == ([], 0)
    clock.seconds += FRESH_SECONDS
    assert missing(api) == (["production/web-1"], 1)
    position = api.done("ann", "POST", f"{TESTS}/big_photo/start")["position"]
    report(api, 2, big_photo=position)
    clock.seconds += FRESH_SECONDS + 0.1
    assert missing(api) == ([], 1)
    api.done("ann", "POST", f"{TESTS}/big_photo/pause")
    assert missing(api) == (["production/web-1"], 1)


def test_a_user_group_that_a_server_misses_is_told(api: Api) -> None:
    report(api, 1)
    groups = "/api/v1/user-groups"
    api.done("ann", "POST", groups, json={"key": "premium", "name": "Premium"})
    api.done("ann", "POST", f"{groups}/premium/conditions", json=[])
    api.done("ann", "POST", f"{groups}/premium/activate")
    found = api.done("vera", "GET", f"{groups}/premium")
    assert (found["not_laid_out_on"], found["live_servers"]) == (["production/web-1"], 1)


def test_consumers_are_told_as_they_stand(api: Api) -> None:
    from entrypoints.clock import now
    from entrypoints.consumer_standings import ConsumerStandings

    assert api.done("vera", "GET", "/api/v1/consumers") == {"consumers": []}
    api.app.state.consumers = ConsumerStandings(api.backbone, None, now=now).read
    found = {each["name"]: each for each in api.done("vera", "GET", "/api/v1/consumers")["consumers"]}
    assert {"relay", "preparer"} <= found.keys()
    assert all(each["does"] and each["state"] for each in found.values())
