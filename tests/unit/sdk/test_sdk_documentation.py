"""What the SDK's documents show is true: their examples run, their tables are complete."""

import re
from pathlib import Path
from typing import get_args

import pytest

import usersplit

ROOT = Path(__file__).parents[3]
README = (ROOT / "sdk" / "README.md").read_text(encoding="utf-8")
GUIDE = (ROOT / "docs" / "sdk.md").read_text(encoding="utf-8")

EXAMPLES = re.findall(r"```python\n(.*?)```", README + GUIDE, re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_runs(example: str, capsys: pytest.CaptureFixture[str]) -> None:
    # Nothing to deliver to a Kafka that is not there: the directory of the first example has no test.
    exec(compile(example, "example", "exec"), {})  # noqa: S102 - that is what examples are for
    capsys.readouterr()


def test_every_reason_is_explained() -> None:
    assert [reason for reason in get_args(usersplit.Reason) if f"`{reason}`" not in GUIDE] == []


def test_every_drop_reason_is_explained() -> None:
    assert [reason for reason in get_args(usersplit.DropReason) if f"`{reason}`" not in GUIDE] == []
