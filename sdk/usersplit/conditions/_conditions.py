"""Conditions: a parsed document that can be asked, explained and shown."""

import json
from collections.abc import Iterator, Mapping
from typing import cast

from usersplit.conditions._catalog import Catalog, Filter
from usersplit.conditions._compile import Matcher, compile_tree
from usersplit.conditions._evaluate import evaluate
from usersplit.conditions._explain import Explanation, explain
from usersplit.conditions._parse import Parser, decode
from usersplit.conditions._text import to_text
from usersplit.conditions._tree import Bracket, Leaf, Node


class Conditions:
    """Parsed and checked conditions. Immutable, safe to share between threads; made by `parse` or `parse_text`.

    Two are equal if their documents are, to the spelling, and their filters too.
    """

    __slots__ = ("_filters_used", "_json", "_matcher", "_root")

    def __init__(self, root: Bracket, json_text: str) -> None:
        self._root = root
        self._json = json_text
        used = {leaf.filter.name: leaf.filter for leaf in _leaves(root)}
        self._filters_used = tuple(used[name] for name in sorted(used))
        self._matcher: Matcher = self._compile_and_match

    @property
    def root(self) -> Bracket:
        """The tree, for those who turn it into something else (SQL)."""
        return self._root

    @property
    def filters_used(self) -> tuple[Filter, ...]:
        """The filters that the conditions ask, sorted by name, each once."""
        return self._filters_used

    @property
    def document(self) -> list[object]:
        """The JSON as it was given, spelling of values included; a fresh copy each time."""
        return cast("list[object]", json.loads(self._json))

    @property
    def is_everybody(self) -> bool:
        """Whether there are no conditions at all."""
        return not self._root.nodes

    def matches(self, user: Mapping[str, object] | None, environment: Mapping[str, object]) -> bool:
        """Say whether the conditions are met. Raises nothing, whatever the mappings hold or do.

        Args:
            user: the profile's attributes by name; None for a guest, who meets no user filter.
            environment: what is known of the visit, by name.
        """
        try:
            return self._matcher(user, environment)
        except Exception:  # noqa: BLE001 - a mapping failed; the evaluator that guards every access decides
            return evaluate(self._root, user, environment)

    def explain(self, user: Mapping[str, object] | None, environment: Mapping[str, object]) -> Explanation:
        """Answer as `matches` does, with the leaves that decided and why. Raises nothing either."""
        return explain(self._root, user, environment)

    def compile_now(self) -> None:
        """Compile before the first check does, so that no visitor waits for it (about 0.05 ms a leaf)."""
        self._matcher = compile_tree(self._root)

    def to_text(self) -> str:
        """Return the readable form, such as `is_test_user = Yes OR (country_id in 50 AND is_new_user = 1)`."""
        return to_text(self._root)

    def _compile_and_match(self, user: Mapping[str, object] | None, environment: Mapping[str, object]) -> bool:
        # Two threads may both compile; they make the same thing, and the last one is kept.
        self.compile_now()
        return self._matcher(user, environment)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Conditions):
            return NotImplemented
        return self._json == other._json and self._filters_used == other._filters_used

    def __hash__(self) -> int:
        return hash(self._json)

    def __repr__(self) -> str:
        return f"<Conditions {self.to_text()}>"


def parse(document: object, catalog: Catalog) -> Conditions:
    """Parse the decoded JSON of conditions and check it against the catalog.

    Raises:
        ConditionsError: the one of its subclasses that names what is wrong; its `path` says where.
    """
    root = Parser(catalog).root(document)
    return Conditions(root, json.dumps(document, ensure_ascii=False))


def parse_text(text: str, catalog: Catalog) -> Conditions:
    """Parse conditions from JSON text.

    Raises:
        ConditionsError: as `parse`; `MalformedConditions` where the text is not JSON.
    """
    return parse(decode(text), catalog)


def _leaves(node: Node) -> Iterator[Leaf]:
    if isinstance(node, Leaf):
        yield node
        return
    for child in node.nodes:
        yield from _leaves(child)
