"""The command that generates names, checks that code and servers agree, and reports dead keys in the code."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support.sdk_config_documents import config_document
from usersplit._names_module import Names, NoNamesModule, module_text, names_in
from usersplit.names import main

KEYS = st.from_regex(r"[A-Za-z0-9._-]{1,12}", fullmatch=True)
VARIANTS = st.lists(st.text(min_size=1, max_size=8), unique=True, max_size=5)


def run_module(text: str) -> dict[str, Any]:
    namespace: dict[str, Any] = {"__name__": "generated"}
    exec(compile(text, "generated", "exec"), namespace)  # noqa: S102 - that it runs is what is tested
    return namespace


@settings(max_examples=60)
@given(tests=st.dictionaries(KEYS, VARIANTS, max_size=3), groups=st.frozensets(KEYS, max_size=2))
@example(tests={"a": ["\U00016b5b", "a\u0300b", "2\u00b2", "__", "a  b", "ß", "\u017f", "\ud800"]}, groups=frozenset())
@example(tests={"a": ["aaa", "AAA", "aaa 983487"]}, groups=frozenset())  # the hash of the first one begins so
def test_whatever_the_keys_and_variants_the_module_runs_and_says_them(
    tests: dict[str, list[str]], groups: frozenset[str]
) -> None:
    names = Names(variants_by_test={key: tuple(each) for key, each in tests.items()}, user_groups=groups)
    text = module_text(names)
    read = names_in(text)
    assert dict(read.variants_by_test) == dict(names.variants_by_test)
    assert read.user_groups == groups
    classes = {name: each for name, each in run_module(text).items() if hasattr(each, "KEY")}
    assert {name: each.KEY for name, each in classes.items()} == dict(read.class_names)
    assert {each.KEY: each.VARIANTS for each in classes.values()} == dict(names.variants_by_test)
    for each in classes.values():
        constants = [value for name, value in vars(each).items() if name != "KEY" and not name.startswith("__")]
        assert sorted(each.VARIANTS) == sorted(value for value in constants if isinstance(value, str))


def test_names_are_what_one_would_write_by_hand() -> None:
    names = Names(
        variants_by_test={"green_button": ("control", "dark red"), "price-2": ()}, user_groups=frozenset({"staff"})
    )
    module = run_module(module_text(names))
    button = module["GreenButton"]
    assert (button.KEY, button.CONTROL, button.DARK_RED) == ("green_button", "control", "dark red")
    assert button.variant("dark red") == "dark red"
    assert button.variant("blue") is None
    assert button.variant(None) is None
    assert module["Price2"].VARIANTS == ()
    assert module["UserGroups"].STAFF == "staff"


def test_keys_whose_names_collide_are_told_apart() -> None:
    names = Names(variants_by_test={"a.b": (), "a_b": (), "final": (), "none": (), "2nd": ()}, user_groups=frozenset())
    classes = names_in(module_text(names)).class_names
    assert sorted(classes.values()) == ["2nd", "a.b", "a_b", "final", "none"]
    assert {"Final_", "None_", "Split2nd"} <= set(classes)


def test_a_long_list_is_laid_out_as_formatters_do() -> None:
    text = module_text(
        Names(variants_by_test={"prices": tuple(f"price_adjusted_by_{n}" for n in range(9))}, user_groups=frozenset())
    )
    assert max(map(len, text.splitlines())) <= 88
    assert run_module(text)["Prices"].VARIANTS[8] == "price_adjusted_by_8"


@pytest.mark.parametrize("text", ["class A:\n    KEY = 1\n", "def", "class A: pass", "\0"])
def test_another_file_is_no_generated_module(text: str) -> None:
    with pytest.raises(NoNamesModule):
        names_in(text)


@pytest.fixture
def put(tmp_path: Path) -> Callable[..., None]:
    """Return what writes a config file of a test."""
    (tmp_path / "configs").mkdir()

    def write(key: str, **changes: object) -> None:
        document = config_document(key, **changes)
        (tmp_path / "configs" / f"{key}.json").write_text(json.dumps(document))

    write("green_button")
    return write


def command(tmp_path: Path, *more: str) -> int:
    return main([str(tmp_path / "configs"), str(tmp_path / "names.py"), *more])


def put_group(tmp_path: Path, key: str, status: str = "active") -> None:
    document = {"format": 1, "kind": "user_group", "key": key, "position": 1, "status": status, "settings_group": 1}
    text = json.dumps({**document, "conditions": [], "filters": {}})
    (tmp_path / "configs" / f"~user_group.{key}.json").write_text(text)


@pytest.mark.usefixtures("put")
def test_what_was_just_generated_agrees(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put_group(tmp_path, "staff")
    assert command(tmp_path) == 0
    assert "1 split tests, 1 user groups" in capsys.readouterr().out
    assert command(tmp_path, "--check") == 0
    assert capsys.readouterr() == ("", "")
    assert command(tmp_path) == 0
    assert "up to date" in capsys.readouterr().out


def test_each_difference_is_named(tmp_path: Path, put: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    put("old_test")
    put_group(tmp_path, "old_group")
    command(tmp_path)
    put("new_test")
    put_group(tmp_path, "new_group")
    (tmp_path / "configs" / "old_test.json").unlink()
    (tmp_path / "configs" / "~user_group.old_group.json").unlink()
    put(
        "green_button",
        position=43,
        variants=[
            {"name": "control", "is_control": True, "split_groups": [1]},
            {"name": "blue", "is_control": False, "split_groups": [2]},
        ],
    )
    capsys.readouterr()
    assert command(tmp_path, "--check") == 1
    said = capsys.readouterr().out
    for line in (
        "green_button: the variant 'blue' is new",
        "green_button: the variant 'red' is gone",
        "new_test: a split test that the code does not know",
        "old_test: a split test that no server knows",
        "new_group: a user group that the code does not know",
        "old_group: a user group that no server knows",
    ):
        assert line in said


@pytest.mark.usefixtures("put")
def test_an_edited_file_is_no_agreement(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command(tmp_path)
    with (tmp_path / "names.py").open("a") as file:
        file.write("\nMORE = 1\n")
    assert command(tmp_path, "--check") == 1
    assert "edited or made by another version" in capsys.readouterr().out


def test_a_status_alone_is_no_difference(tmp_path: Path, put: Callable[..., None]) -> None:
    command(tmp_path)
    put("green_button", position=43, status="paused")
    assert command(tmp_path, "--check") == 0


def test_a_service_may_name_its_tests(
    tmp_path: Path, put: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    put("of_another_service")
    assert command(tmp_path, "--only", "green_button") == 0
    assert "of_another_service" not in (tmp_path / "names.py").read_text()
    put("new_of_another_service")
    assert command(tmp_path, "--check", "--only", "green_button") == 0
    assert command(tmp_path, "--check", "--only", "gone") == 1
    assert "No server knows gone" in capsys.readouterr().out


def test_what_cannot_be_told_is_no_agreement(
    tmp_path: Path, put: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(tmp_path, "--check") == 2
    assert "generate it, without --check" in capsys.readouterr().err
    (tmp_path / "names.py").write_text("import os")
    assert command(tmp_path, "--check") == 1  # a module without names: the test is missing
    (tmp_path / "names.py").write_text("class Mine: pass")
    assert command(tmp_path, "--check") == 2
    put("torn")
    (tmp_path / "configs" / "torn.json").write_text("{")
    assert command(tmp_path) == 2
    assert "may be torn" in capsys.readouterr().err
    assert main([str(tmp_path / "nowhere"), str(tmp_path / "names.py")]) == 2
    assert "cannot be read" in capsys.readouterr().err


CODE = """
import names
from names import GreenButton

OLD = "old_test"
ANNOTATED: str = "old_test"

def page(client, flags, user, key):
    client.get_active_variant("green_button", user)
    client.get_active_variant(OLD, user)
    client.log_hit(key=ANNOTATED, variant="red", user=user)
    client.explain(GreenButton.KEY, user)
    client.explain(names.GreenButton.KEY, user)
    client.is_in_group("staff", user)
    client.is_in_group("green_button", user)
    flags.get_string_value("old_flag", "")
    flags.get_boolean_details("staff", False)
    client.get_active_variant(key, user)
    other("never_asked")
"""


@pytest.mark.usefixtures("put")
def test_dead_keys_are_found_where_they_are_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put_group(tmp_path, "staff")
    command(tmp_path)
    (tmp_path / "app" / ".hidden").mkdir(parents=True)
    (tmp_path / "app" / ".hidden" / "other.py").write_text("client.explain('hidden', user)")
    (tmp_path / "app" / "pages.py").write_text(CODE)
    capsys.readouterr()
    assert command(tmp_path, "--check", "--code", str(tmp_path / "app")) == 1
    found = re.findall(r"pages\.py:(\d+): (\S+): no server knows it", capsys.readouterr().out)
    assert found == [("10", "old_test"), ("11", "old_test"), ("15", "green_button"), ("16", "old_flag")]


def test_a_test_that_is_over_is_told_and_is_an_error_if_asked_for(
    tmp_path: Path, put: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    put("green_button", status="finished", result={"variant": "red", "scope": "worldwide"})
    put("old_test", status="rejected")
    put("gone_test", status="discarded")
    code = tmp_path / "pages.py"
    code.write_text("client.explain(GreenButton.KEY, user)\nclient.explain('old_test', user)\n")
    command(tmp_path)
    assert command(tmp_path, "--check", "--code", str(code)) == 0
    said = capsys.readouterr().out
    assert "pages.py:1: green_button: finished, its result is 'red'; keep its branch" in said
    assert "pages.py:2: old_test: rejected; keep the old behaviour" in said
    assert command(tmp_path, "--check", "--strict", "--code", str(code)) == 1
    code.write_text("client.explain('gone_test', user)\n")
    assert command(tmp_path, "--check", "--code", str(code)) == 1


@pytest.mark.usefixtures("put")
def test_code_that_cannot_be_read_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command(tmp_path)
    (tmp_path / "broken.py").write_text("def (")
    assert command(tmp_path, "--check", "--code", str(tmp_path / "broken.py"), str(tmp_path / "none.py")) == 2
    said = capsys.readouterr().err
    assert "broken.py cannot be read" in said
    assert "none.py cannot be read" in said


def test_a_server_is_asked_with_a_token_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("USERSPLIT_TOKEN", raising=False)
    assert main(["https://usersplit.example.com", str(tmp_path / "split_tests.py")]) == 2
    assert "USERSPLIT_TOKEN" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
