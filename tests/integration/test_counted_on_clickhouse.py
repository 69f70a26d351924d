"""Users who outgrew one machine: preparations, previews, live numbers and walks over ClickHouse (in `chdb`)."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import clickhouse_connect
import pytest

from audience.catalog import load_catalog
from audience.iterator import users_of
from audience.users_table import required_users_table
from entrypoints.backbone import Backbone, migrate
from events.facts import REGISTRY, SettingsGroupPrepared, split_test_stream
from tests.support.counted_backbone import ADULTS, ANNA, COUNTRIES, proposal
from usersplit.conditions import parse
from warehouse.clickhouse_users import ClickHouseUsers
from warehouse.generated_users import generate_clickhouse

IN_COUNTRIES, IS_ADULT = "country_id IN (50, 51)", "age >= 18"


class House:
    def __init__(self, directory: Path) -> None:
        url = f"sqlite:///{directory / 'usersplit.db'}"
        migrate(url)
        self.client = clickhouse_connect.get_client(dsn="chdb://memory")
        self.database = ClickHouseUsers(self.client)
        generate_clickhouse(self.database, "users", users=20_000, seed=3)
        self.backbone = Backbone(url, users=self.database)

    def close(self) -> None:
        self.backbone.close()
        self.client.command("DROP TABLE IF EXISTS users")
        self.client.close()

    def prepared(self, key: str, conditions: list[object], **percents: float) -> SettingsGroupPrepared:
        self.backbone.split_tests.create(ANNA, key=key, name=key)
        self.backbone.split_tests.propose_settings(ANNA, key, proposal(percents, conditions))
        assert self.backbone.preparer.prepare(key)
        self.backbone.split_tests.publish(ANNA, key)
        facts = [REGISTRY.decode(event.encoded) for event in self.backbone.store.read_stream(split_test_stream(key))]
        return next(fact for fact in facts if isinstance(fact, SettingsGroupPrepared))

    def ids(self, *conditions: str, split_groups: Sequence[int] = range(1, 2401)) -> list[int]:
        groups = ", ".join(map(str, split_groups)) or "0"
        where = " AND ".join((*conditions, f"split_group IN ({groups})"))
        return [row[0] for row in self.client.query(f"SELECT user_id FROM users WHERE {where}").result_rows]  # noqa: S608 - a test's own words


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    house.close()


def test_estimate_and_overlap_are_exact(house: House) -> None:
    other = house.prepared("other", [ADULTS], control=40, blue=50)
    fact = house.prepared("button", [COUNTRIES], control=25, red=25)
    for variant in fact.variants:
        assert variant.users == len(house.ids(IN_COUNTRIES, split_groups=variant.split_groups))
        assert variant.users
    (overlap,) = fact.overlaps
    ours = {number for variant in fact.variants for number in variant.split_groups}
    theirs = {number for variant in other.variants for number in variant.split_groups}
    assert overlap.shared_users == len(house.ids(IN_COUNTRIES, IS_ADULT, split_groups=sorted(ours & theirs)))
    assert overlap.their_users == len(house.ids(IS_ADULT, split_groups=sorted(theirs)))


def test_previews_and_live_numbers_are_exact(house: House) -> None:
    house.prepared("adults", [ADULTS], control=50)
    assert house.backbone.audience is not None
    preview = house.backbone.audience.preview("button", proposal({"control": 10, "red": 10}, [COUNTRIES]))
    assert preview.users == len(house.ids(IN_COUNTRIES))
    live = house.backbone.audience.live_numbers([COUNTRIES])
    assert live.users == len(house.ids(IN_COUNTRIES))
    assert [(each.key, each.users) for each in live.shared] == [("adults", len(house.ids(IN_COUNTRIES, IS_ADULT)))]


def test_the_walk_meets_every_user_of_a_variant_once_in_order(house: House) -> None:
    variant = house.prepared("button", [COUNTRIES], control=25, red=25).variants[1]
    catalog = load_catalog()
    asked = parse([COUNTRIES], catalog)
    batches = users_of(
        house.database, required_users_table(catalog), asked, split_groups=variant.split_groups, batch_users=100
    )
    walked = [user for batch in batches for user in batch]
    assert walked == sorted(house.ids(IN_COUNTRIES, split_groups=variant.split_groups))
    assert len(walked) == variant.users
