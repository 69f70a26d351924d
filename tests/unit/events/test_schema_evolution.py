"""Avro schemas only change in ways that every reader of the topics survives: FULL_TRANSITIVE.

A file under released_schemas/ is never changed after a release. A changed schema adds `<name>.v<next>.avsc`, a copy of
the one in use, and golden/ keeps bytes of every version.
"""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from events.lifecycle_codec import lifecycle_schema
from tests.support.avro_compatibility import incompatibilities, read_with
from usersplit.hit_reports import HIT_REPORT_SCHEMA
from usersplit.hits import HIT_SCHEMA

HERE = Path(__file__).parent
IN_USE: dict[str, Any] = {
    "hit": json.loads(HIT_SCHEMA),
    "hit_report": json.loads(HIT_REPORT_SCHEMA),
    "lifecycle_event": json.loads(lifecycle_schema()),
}
WIRE_PREFIX_BYTES = 5

each_schema = pytest.mark.parametrize("name", IN_USE)


def released(name: str) -> dict[str, Any]:
    files = sorted((HERE / "released_schemas").glob(f"{name}.v*.avsc"), key=lambda file: int(file.stem.split(".v")[1]))
    return {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in files}


def without_words(schema: Any) -> Any:
    """Return the schema without its explanations, which may get better at any time."""
    if isinstance(schema, dict):
        return {name: without_words(value) for name, value in schema.items() if name != "doc"}
    return [without_words(each) for each in schema] if isinstance(schema, list) else schema


@each_schema
def test_the_schema_in_use_is_the_newest_released_one(name: str) -> None:
    *_, newest = released(name).values()
    assert without_words(newest) == without_words(IN_USE[name]), f"add the changed schema as {name}.v<next>.avsc"


@each_schema
def test_every_released_schema_reads_what_every_other_one_wrote(name: str) -> None:
    assert incompatibilities({**released(name), "in use": IN_USE[name]}) == []


@each_schema
def test_all_recorded_bytes_are_read_with_the_schema_in_use_and_with_every_other(name: str) -> None:
    golden = sorted((HERE / "golden").glob(f"{name}.schema_*.hex"), key=lambda file: int(file.stem.split("_")[-1]))
    # Every version of a schema has an id of its own, and bytes on record.
    for file, writer in zip(golden, released(name).values(), strict=True):
        value = bytes.fromhex(file.read_text(encoding="ascii"))
        for reader in [*released(name).values(), IN_USE[name]]:
            record = read_with(value[WIRE_PREFIX_BYTES:], writer=writer, reader=reader)
            assert {field["name"] for field in reader["fields"]} == set(record)


def changed(**field: Any) -> Any:
    """Return the hit's schema with one field added, or another one in the place of the field of that name."""
    schema = copy.deepcopy(IN_USE["hit"])
    schema["fields"] = [each for each in schema["fields"] if each["name"] != field["name"]] + [field]
    return schema


def test_a_field_with_a_default_is_a_change_that_everybody_survives() -> None:
    assert incompatibilities({"v1": IN_USE["hit"], "v2": changed(name="city", type="string", default="")}) == []


def test_a_field_that_goes_is_a_change_that_everybody_survives() -> None:
    smaller = copy.deepcopy(IN_USE["hit"])
    smaller["fields"] = smaller["fields"][:-1]
    assert incompatibilities({"v1": IN_USE["hit"], "v2": smaller}) == []


def test_a_planted_field_without_a_default_is_refused() -> None:
    found = incompatibilities({"v1": IN_USE["hit"], "v2": changed(name="city", type="string")})
    assert found[0] == "v2: the field city has no default"
    assert found[1].startswith("v2 does not read what v1 wrote: ")


def test_a_planted_change_of_a_type_is_refused() -> None:
    found = incompatibilities({"v1": IN_USE["hit"], "v2": changed(name="variant", type="long", default=0)})
    assert [sentence.partition(":")[0] for sentence in found] == [
        "v2 does not read what v1 wrote",
        "v1 does not read what v2 wrote",
    ]


def test_a_planted_promotion_is_refused_because_it_goes_one_way_only() -> None:
    found = incompatibilities({"v1": IN_USE["hit"], "v2": changed(name="settings_group", type="long", default=0)})
    assert [sentence.partition(":")[0] for sentence in found] == ["v1 does not read what v2 wrote"]


def test_a_planted_enum_is_refused() -> None:
    enum = {"type": "enum", "name": "UnitType", "symbols": ["user", "guest"]}
    found = incompatibilities({"v2": changed(name="unit_type", type=enum, default="user")})
    assert found == ["v2 holds an enum: a value that an old reader does not know would be poison to it"]


def test_a_planted_violation_against_an_old_version_is_found_behind_a_good_one() -> None:
    versions = {
        "v1": changed(name="city", type="string", default=""),
        "v2": IN_USE["hit"],
        "v3": changed(name="city", type="int", default=0),
    }
    assert [sentence.partition(":")[0] for sentence in incompatibilities(versions)] == [
        "v3 does not read what v1 wrote",
        "v1 does not read what v3 wrote",
    ]
