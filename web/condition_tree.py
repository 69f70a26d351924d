"""Conditions while somebody edits them: a tree that may be unfinished, to and from the document of conditions.

The SDK's tree is finished and typed; this one holds what the person has clicked so far, values as they were typed. What
is wrong with it is said by the SDK's own parser, by the path of the place, which `Question.path` and `Group.path` give.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from usersplit.conditions import Bracket, Catalog, Conditions, Leaf, parse, parse_text

Joint: TypeAlias = Literal["AND", "OR"]
LIST_OPERATORS = ("in", "not_in")


@dataclass(eq=False, slots=True, kw_only=True)
class Question:
    """One condition: a filter, an operator, and the values as they were typed; one value where no list is asked for."""

    filter: str
    operator: str
    values: list[str] = field(default_factory=list)
    path: str = ""

    @property
    def takes_list(self) -> bool:
        """Say whether the operator asks about a list of values."""
        return self.operator in LIST_OPERATORS


@dataclass(eq=False, slots=True, kw_only=True)
class Group:
    """Brackets: nodes that are joined by one operator. The outermost one may be empty, which is everybody."""

    joint: Joint = "AND"
    nodes: "list[Node]" = field(default_factory=list)
    path: str = ""


Node: TypeAlias = Question | Group


def from_document(document: object, catalog: Catalog) -> Group:
    """Return the tree of finished conditions.

    Raises:
        usersplit.conditions.ConditionsError: they break a rule.
    """
    return from_conditions(parse(document, catalog))


def unfinished(document: object, catalog: Catalog) -> Group:
    """Return the tree of conditions that may be unfinished, as a reload of the page brings them back.

    What no tree can show (a filter that the catalog has lost, something that is no condition) is left out.
    """
    items = document if isinstance(document, list) else []
    joint: Joint = "OR" if "OR" in items[1::2] else "AND"
    found = [_unfinished_node(item, catalog) for item in items[::2]]
    return Group(joint=joint, nodes=[node for node in found if node is not None])


def from_json_text(text: str, catalog: Catalog) -> Group:
    """Return the tree of conditions that were typed as JSON; no text at all is everybody.

    Raises:
        usersplit.conditions.ConditionsError: it is not JSON, or breaks another rule.
    """
    return from_conditions(parse_text(text if text.strip() else "[]", catalog))


def from_conditions(conditions: Conditions) -> Group:
    """Return the tree of parsed conditions."""
    return _group(conditions.root)


def to_document(group: Group) -> list[object]:
    """Return the document that the tree is so far, and give every node its path in it.

    Brackets with nothing in them are left out: they are what is left after their last condition was removed.
    """
    return _document(group, "conditions")


def to_json_text(document: object) -> str:
    """Return the document as people read JSON: a condition a line."""
    return _lines(document, "")


def questions(group: Group) -> Iterator[Question]:
    """Yield every condition, in reading order."""
    for node in group.nodes:
        if isinstance(node, Question):
            yield node
        else:
            yield from questions(node)


def first_question(catalog: Catalog) -> Question:
    """Return what a new condition begins as: the first filter of the catalog, without a value."""
    name = next(iter(catalog))
    return with_filter(Question(filter=name, operator=""), name, catalog)


def with_filter(question: Question, name: str, catalog: Catalog) -> Question:
    """Make the condition one about another filter; a list of its known values is asked for first."""
    definition = catalog[name]
    question.filter, question.values = name, []
    if definition.values and "in" in definition.allowed_operators:
        question.operator = "in"
    elif question.operator not in definition.allowed_operators:
        question.operator = definition.allowed_operators[0]
    if definition.type == "boolean" and not question.values:
        question.values = ["Yes"]
    return question


def with_operator(question: Question, operator: str) -> Question:
    """Make the condition one of another operator; of several values the first is kept where one is asked for."""
    question.operator = operator
    if not question.takes_list:
        question.values = question.values[:1]
    return question


def put_in_brackets(parent: Group, node: Node) -> Group:
    """Put brackets around a node in its place, joined the other way than their surroundings, and return them."""
    brackets = Group(joint="OR" if parent.joint == "AND" else "AND", nodes=[node])
    parent.nodes[parent.nodes.index(node)] = brackets
    return brackets


def take_out_of_brackets(parent: Group, brackets: Group) -> None:
    """Replace brackets by what is in them."""
    place = parent.nodes.index(brackets)
    parent.nodes[place : place + 1] = brackets.nodes


def move(parent: Group, node: Node, *, by: int) -> None:
    """Move a node up (-1) or down (1) among its neighbours; at the end of the list it stays."""
    place = parent.nodes.index(node)
    target = place + by
    if 0 <= target < len(parent.nodes):
        parent.nodes[place], parent.nodes[target] = parent.nodes[target], node


def _unfinished_node(item: object, catalog: Catalog) -> Node | None:
    if isinstance(item, list):
        return unfinished(item, catalog)
    if not isinstance(item, dict) or item.get("filter") not in catalog:
        return None
    operator = str(item.get("operator", ""))
    if operator not in catalog[item["filter"]].allowed_operators:
        return None
    value = item.get("value", [])
    values = [_spelled(each) for each in (value if isinstance(value, list) else [value]) if each != ""]
    return Question(filter=item["filter"], operator=operator, values=values)


def _group(bracket: Bracket) -> Group:
    nodes: list[Node] = [_question(node) if isinstance(node, Leaf) else _group(node) for node in bracket.nodes]
    return Group(joint=bracket.joint, nodes=nodes)


def _question(leaf: Leaf) -> Question:
    return Question(filter=leaf.filter.name, operator=leaf.operator, values=[_spelled(value) for value in leaf.spelled])


def _spelled(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _document(group: Group, path: str) -> list[object]:
    group.path = path
    items: list[object] = []
    for node in group.nodes:
        place = f"{path}[{len(items) + (1 if items else 0)}]"
        if isinstance(node, Question):
            node.path = place
            item: object = _leaf_document(node)
        else:
            item = _document(node, place)
            if not item:
                continue
        items.extend([group.joint, item] if items else [item])
    return items


def _leaf_document(question: Question) -> dict[str, object]:
    value: object = list(question.values) if question.takes_list else "".join(question.values[:1])
    return {"filter": question.filter, "operator": question.operator, "value": value}


def _lines(document: object, indent: str) -> str:
    if not isinstance(document, list):
        return indent + json.dumps(document, ensure_ascii=False)
    if not document:
        return f"{indent}[]"
    inside = ",\n".join(_lines(item, f"{indent}  ") for item in document)
    return f"{indent}[\n{inside}\n{indent}]"
