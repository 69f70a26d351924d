"""What a config document must be, to be used by a check."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support.sdk_config_documents import config_document
from usersplit import ConfigFromTheFuture, MalformedConfig, MemoryConfigs, MiskeyedConfig, UnreadableConfig
from usersplit._config import SplitTestConfig
from usersplit._documents import documents_in
from usersplit._documents import parse_config as parse_any

ROOT = Path(__file__).parents[3]


def parse_config(text: bytes | str, *, place: str) -> SplitTestConfig | None:
    config = parse_any(text, place=place)
    assert config is None or isinstance(config, SplitTestConfig)
    return config


def parsed(**changes: object) -> object:
    return parse_config(json.dumps(config_document(**changes)), place="green_button")


def test_the_documented_example_is_a_config() -> None:
    documentation = (ROOT / "docs" / "config-documents.md").read_text(encoding="utf-8")
    example = documentation.split("```json\n")[1].split("```")[0]
    config = parse_config(example, place="green_button")
    assert config is not None
    assert (config.position, config.status, config.settings_group) == (42, "running", 3)
    assert config.variants[config.variant_by_group[2400]] == "red"
    assert config.variants[config.variant_by_group[12]] == "control"
    assert config.variant_by_group[13] == 0
    assert json.loads(example) == config_document()


def test_moments_are_exact_to_the_microsecond() -> None:
    config = parse_config(
        json.dumps(config_document(starts_at="2026-05-01T03:00:00.000001+03:00")), place="green_button"
    )
    assert config is not None
    assert config.starts_at_ns == 1_777_593_600_000_001_000


def test_unknown_fields_are_ignored_so_that_a_newer_writer_can_add_some() -> None:
    assert parsed(rested_groups=[1, 2]) is not None


def test_a_document_of_another_kind_is_none_of_ours() -> None:
    assert parsed(kind="user_group") is None


def test_a_forgotten_test_needs_no_settings() -> None:
    document = {"format": 1, "kind": "split_test", "key": "green_button", "position": 50, "status": "draft"}
    config = parse_config(json.dumps(document), place="green_button")
    assert config is not None
    assert config.status == "draft"


def test_more_variants_than_a_byte_can_count_keep_their_groups() -> None:
    variants = [{"name": f"v{group}", "split_groups": [group]} for group in range(1, 2401)]
    config = parse_config(json.dumps(config_document(variants=variants)), place="green_button")
    assert config is not None
    assert [config.variants[config.variant_by_group[group]] for group in (1, 256, 2400)] == ["v1", "v256", "v2400"]


@pytest.mark.parametrize(
    "changes",
    [
        {"format": 0},
        {"format": "1"},
        {"format": True},
        {"position": -1},
        {"position": 1.5},
        {"status": "flying"},
        {"status": ["running"]},
        {"settings_group": None},
        {"starts_at": "tomorrow"},
        {"starts_at": "2026-05-01T00:00:00"},
        {"ends_at": None},
        {"conditions": [{"filter": "shoe_size", "operator": "eq", "value": "1"}]},
        {"conditions": "everybody"},
        {"conditions": None},
        {"filters": []},
        {"filters": {"country_id": {"type": "colour", "scope": "user"}}},
        {"filters": {"country_id": None}},
        {"variants": {}},
        {"variants": [{"name": "red"}]},
        {"variants": [{"name": "", "split_groups": []}]},
        {"variants": [{"name": "red", "split_groups": []}, {"name": "red", "split_groups": []}]},
        {"variants": [{"name": "red", "split_groups": [0]}]},
        {"variants": [{"name": "red", "split_groups": [2401]}]},
        {"variants": [{"name": "red", "split_groups": [True]}]},
        {"variants": [{"name": "red", "split_groups": ["1"]}]},
        {"variants": [{"name": "red", "split_groups": [5]}, {"name": "blue", "split_groups": [5]}]},
        {"status": "finished", "result": None},
        {"status": "finished", "result": {"variant": "red", "scope": "somewhere"}},
    ],
    ids=str,
)
def test_an_impossible_value_makes_the_document_malformed(changes: dict[str, Any]) -> None:
    with pytest.raises(MalformedConfig, match="green_button"):
        parsed(**changes)


def test_a_settings_group_that_no_hit_could_carry_is_refused() -> None:
    parsed(settings_group=2**31 - 1)
    with pytest.raises(MalformedConfig, match="settings_group of 2147483648, at most is 2147483647"):
        parsed(settings_group=2**31)


def test_a_document_from_the_future_is_refused_by_name() -> None:
    with pytest.raises(ConfigFromTheFuture, match="upgrade"):
        parsed(format=2)


def test_a_document_in_the_place_of_another_test_is_refused_by_name() -> None:
    with pytest.raises(MiskeyedConfig, match="blue_button"):
        parsed(key="blue_button")


@pytest.mark.parametrize(
    "text", ["", "{", "null", "[]", '"text"', "\x00", "[" * 100_000, json.dumps(config_document())[:-9]]
)
def test_torn_and_foreign_text_is_malformed(text: str) -> None:
    with pytest.raises(MalformedConfig):
        parse_config(text, place="green_button")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["AND", "red"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)


@pytest.mark.parametrize("kind", ["split_test", "user_group", "overrides", "another"])
@pytest.mark.parametrize("field", ["format", "key", "position", "status", "settings_group"])
def test_a_number_that_has_no_text_is_refused_by_name(kind: str, field: str) -> None:
    # Decoded JSON may come from a decoder that takes it; Python turns no number of more than 4,300 digits into text.
    document = {**config_document(), "kind": kind, "environments": {}, field: 10**5000}
    with suppress(UnreadableConfig):
        MemoryConfigs([document])


@given(st.dictionaries(st.sampled_from(sorted(config_document())), JSON, max_size=4))
def test_nothing_but_named_errors_comes_of_any_values(changes: dict[str, Any]) -> None:
    try:
        parsed(**changes)
    except UnreadableConfig:
        return


@given(st.binary(max_size=60))
def test_nothing_but_named_errors_comes_of_any_bytes(text: bytes) -> None:
    with pytest.raises(UnreadableConfig):
        parse_config(text, place="green_button")


def test_memory_configs_take_only_what_is_newer() -> None:
    configs = MemoryConfigs([config_document(position=5)])
    assert not configs.put(config_document(position=4, status="paused"))
    assert not configs.put(json.dumps(config_document(position=5, status="paused")))
    assert configs.put(json.dumps(config_document(position=6, status="paused")))
    config = configs.find("green_button")
    assert config is not None
    assert (config.position, config.status) == (6, "paused")


def test_memory_configs_forget_a_test() -> None:
    configs = MemoryConfigs([config_document("a"), config_document("b")])
    configs.forget("a")
    assert configs.keys() == ("b",)


def test_memory_configs_refuse_what_cannot_be_used() -> None:
    with pytest.raises(MalformedConfig):
        MemoryConfigs(["{"])
    with pytest.raises(MalformedConfig):
        MemoryConfigs([{}])


JSON = st.recursive(st.none() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3))


@settings(max_examples=50)
@given(documents=st.lists(JSON, max_size=4), blanks=st.sampled_from(["", " ", "\r\n\t "]), cut=st.integers(0, 60))
@example(documents=[], blanks="", cut=0)
def test_documents_are_read_one_by_one_as_they_are_read_at_once(documents: list[Any], blanks: str, cut: int) -> None:
    text = json.dumps({"later": {"a": [1]}, "documents": documents, "more": 1}, indent=blanks or None)
    found = list(documents_in((blanks + text + blanks).encode()))
    assert [document for document, _ in found] == documents
    assert [json.loads(each) for _, each in found] == documents
    torn = text.encode()[: -1 - cut]
    with pytest.raises(MalformedConfig):
        list(documents_in(torn))


@settings(max_examples=50)
@given(body=st.binary(max_size=30) | st.text(alphabet='{}[]",:documents 17', max_size=30).map(str.encode))
def test_any_bytes_are_documents_or_refused_by_name(body: bytes) -> None:
    try:
        list(documents_in(body))
    except MalformedConfig:
        return
    assert "documents" in json.loads(body)
