"""The page on conditions is held to the code: its example runs, and what it names exists."""

import json
import re
from pathlib import Path

import usersplit.conditions
from usersplit.conditions import FILTER_TYPES, OPERATORS, Catalog, Filter, OutcomeReason, parse

PAGE = (Path(__file__).parents[4] / "docs" / "conditions.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_example_of_the_page_parses_and_reads_as_the_page_says() -> None:
    catalog = Catalog(
        [
            Filter("is_test_user", "boolean", "user"),
            Filter("country_id", "integer", "user"),
            Filter("is_new_user", "boolean", "user"),
        ]
    )
    assert parse(json.loads(blocks("json")[0]), catalog).to_text() in PAGE


def test_the_code_of_the_page_runs() -> None:
    namespace: dict[str, object] = {}
    exec(blocks("python")[0], namespace)  # noqa: S102 - our own page
    assert namespace["conditions"]


def test_the_page_names_every_type_operator_reason_and_error() -> None:
    public = vars(usersplit.conditions).items()
    errors = [name for name, thing in public if isinstance(thing, type) and issubclass(thing, Exception)]
    operators = {operator for each in OPERATORS.values() for operator in each}
    for word in (*FILTER_TYPES, *operators, *OutcomeReason.__args__, *errors):  # type: ignore[attr-defined] # a Literal
        assert f"`{word}`" in PAGE, word
