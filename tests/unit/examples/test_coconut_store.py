"""The coconut store answers over HTTP, with the branches that the SDK's checks choose."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

import usersplit
from entrypoints.demo_load import InForce, StoreRefused, Visitors
from examples.coconut_store import DELAY_TEST, PRICING_TEST, CoconutStore, Handler, StoreServer


def config(key: str, variants: dict[str, list[int]]) -> dict[str, Any]:
    return {
        "format": 1,
        "kind": "split_test",
        "key": key,
        "position": 1,
        "status": "running",
        "type": "web",
        "settings_group": 1,
        "starts_at": "2026-01-01T00:00:00Z",
        "ends_at": "2100-01-01T00:00:00Z",
        "conditions": [],
        "filters": {},
        "variants": [
            {"name": name, "is_control": name == "control", "split_groups": groups} for name, groups in variants.items()
        ],
        "result": None,
    }


@pytest.fixture
def visitors() -> Iterator[Visitors]:
    everybody = list(range(1, 2401))
    configs = usersplit.MemoryConfigs(
        [config(DELAY_TEST, {"short": everybody}), config(PRICING_TEST, {"expensive": everybody})]
    )
    hits = usersplit.HitLogger(usersplit.MemoryHitTransport(), app="coconut-store", environment_name="devel")
    with usersplit.UserSplit(configs=configs, hits=hits) as client, StoreServer(("127.0.0.1", 0), Handler) as server:
        Handler.store = CoconutStore(client)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        visitors = Visitors(f"http://127.0.0.1:{server.server_address[1]}", connections=2)
        yield visitors
        visitors.close()
        server.shutdown()
        thread.join()


def test_a_visitor_sees_the_branch_of_the_variant_and_is_counted(visitors: Visitors) -> None:
    (user,) = visitors.register([{"country_id": 50}])
    in_force = {DELAY_TEST: InForce(settings_group=1), PRICING_TEST: InForce(settings_group=1, logs_hits=False)}
    pages = list(visitors.visit([user] * 3, in_force))
    assert [coconut["price"] for coconut in pages[0]["coconuts"]] == [4, 5]
    assert pages[0]["variants"] == {DELAY_TEST: "short", PRICING_TEST: "expensive"}
    assert visitors.tally.hits == {(DELAY_TEST, 1, "short"): 3}
    assert visitors.tally.given == {(DELAY_TEST, 1, "short"): 3, (PRICING_TEST, 1, "expensive"): 3}
    assert visitors.health()["hits"]["accepted"] == 6


def test_nobody_sees_the_catalog_unregistered(visitors: Visitors) -> None:
    with pytest.raises(StoreRefused, match="POST /users first"):
        list(visitors.visit(["99"], {}))
