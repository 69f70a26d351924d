from datetime import UTC, datetime
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from commands.fingerprints import fingerprint

leaves = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
values = leaves | st.lists(leaves, max_size=3) | st.dictionaries(st.text(max_size=3), leaves, max_size=3)


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.text(max_size=3), values, max_size=4))
def test_the_order_of_arguments_does_not_matter(arguments: dict[str, object]) -> None:
    turned = dict(reversed(arguments.items()))
    first = fingerprint(command="create", key="k", arguments=arguments, actor="anna")
    assert first == fingerprint(command="create", key="k", arguments=turned, actor="anna")
    assert len(first) == 64


def test_everything_else_does() -> None:
    prints = {
        fingerprint(command=command, key=key, arguments=arguments, actor=actor)
        for command in ("start", "pause")
        for key in ("a", "b")
        for actor in ("anna", "boris")
        for arguments in ({}, {"x": 1}, {"x": "1"}, {"x": True}, {"x": None})
    }
    assert len(prints) == 2 * 2 * 2 * 5


def test_what_is_not_json_counts_as_its_text() -> None:
    moment = datetime(2026, 5, 1, tzinfo=UTC)
    first = fingerprint(command="c", key="k", arguments={"at": moment, "percent": Decimal("1.5")}, actor="a")
    again = fingerprint(command="c", key="k", arguments={"at": str(moment), "percent": "1.5"}, actor="a")
    assert first == again
