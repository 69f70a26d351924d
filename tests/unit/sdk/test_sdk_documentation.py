"""What the SDK's documents show is true: their examples run, their tables are complete."""

import inspect
import re
import sys
import tempfile
from pathlib import Path
from typing import get_args

import pytest
from openfeature import api

import usersplit

ROOT = Path(__file__).parents[3]
GUIDE = (ROOT / "docs" / "sdk.md").read_text(encoding="utf-8")
PAGES = (
    "sdk/README.md",
    *(f"docs/{page}.md" for page in ("sdk", "tracks", "guests", "openfeature", "names", "testing")),
)


@pytest.mark.parametrize("page", PAGES)
def test_the_examples_of_a_page_run(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "split_tests", raising=False)  # what a page generates
    if not hasattr(api, "set_provider_and_wait"):  # as the page says, older releases wait always
        monkeypatch.setattr(api, "set_provider_and_wait", api.set_provider, raising=False)
    text = (ROOT / page).read_text(encoding="utf-8")
    read_on: dict[str, object] = {"__name__": "example"}
    for found in re.finditer(r"```python\n(.*?)```", text, re.DOTALL):
        # With the page's own line numbers. Nothing is delivered to a Kafka that is not there: no directory has a test.
        lines_before = "\n" * (text.count("\n", 0, found.start()) + 1)
        exec(compile(lines_before + found.group(1), page, "exec"), read_on)  # noqa: S102 - that is what examples are for
    assert len(read_on) > 2, "a page without examples"
    capsys.readouterr()


def test_every_reason_is_explained() -> None:
    assert [reason for reason in get_args(usersplit.Reason) if f"`{reason}`" not in GUIDE] == []


def test_every_drop_reason_is_explained() -> None:
    assert [reason for reason in get_args(usersplit.DropReason) if f"`{reason}`" not in GUIDE] == []


@pytest.mark.parametrize(
    "page",
    [
        "names",
        "guests",
        "testing",
        "qa-overrides",
        "user-groups",
        "tracks",
        "openfeature",
        "conditions",
        "config-documents",
    ],
)
def test_the_guide_leads_to_every_page_of_the_sdk(page: str) -> None:
    assert f"]({page}.md)" in GUIDE
    assert (ROOT / "docs" / f"{page}.md").is_file()


def test_every_argument_of_connect_is_in_the_guide() -> None:
    assert [name for name in inspect.signature(usersplit.connect).parameters if f"`{name}`" not in GUIDE] == []
