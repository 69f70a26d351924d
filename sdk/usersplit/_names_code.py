"""Where the code asks for split tests and user groups, found without running it."""

import ast
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

_ASKS_FOR_TEST: Final = frozenset({"get_active_variant", "log_hit", "explain"})
_ASKS_FOR_GROUP: Final = frozenset({"is_in_group", "explain_group"})
_FLAG_TYPES: Final = ("boolean", "string")
_ASKS_FOR_FLAG: Final = frozenset(
    f"get_{flag_type}_{kind}{suffix}"
    for flag_type in _FLAG_TYPES
    for kind in ("value", "details")
    for suffix in ("", "_async")
)
_KEYWORDS: Final = ("key", "flag_key")


class Use(NamedTuple):
    """A place in the code that asks for a key.

    Attributes:
        place: `path:line`.
        key: the key.
        may_be_test: whether it asks for a split test.
        may_be_group: whether it asks for a user group.
    """

    place: str
    key: str
    may_be_test: bool
    may_be_group: bool


class UnreadableCode(NamedTuple):
    """A file in which nothing could be looked for."""

    place: str
    reason: str


def uses_in(paths: Iterable[Path], key_of_class: Mapping[str, str]) -> Iterator[Use | UnreadableCode]:
    """Yield where the Python files at and below `paths` ask for keys.

    A key is seen where it stands in the call, as a constant of the same file, or as `KEY` of a generated class.
    """
    for path in paths:
        for file in _python_files(path):
            try:
                tree = ast.parse(file.read_bytes())
            except (OSError, SyntaxError, ValueError) as error:
                yield UnreadableCode(str(file), f"{type(error).__name__}: {error}")
                continue
            yield from _uses(tree, str(file), key_of_class)


def _python_files(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    for directory, folders, files in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__pycache__")))
        yield from (Path(directory, name) for name in sorted(files) if name.endswith(".py"))


def _uses(tree: ast.Module, file: str, key_of_class: Mapping[str, str]) -> Iterator[Use]:
    constants = dict(_constants(tree))
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        method = node.func.attr
        may_be_test = method in _ASKS_FOR_TEST or method in _ASKS_FOR_FLAG
        may_be_group = method in _ASKS_FOR_GROUP or method in _ASKS_FOR_FLAG
        if may_be_test or may_be_group:
            given = node.args[:1] or [each.value for each in node.keywords if each.arg in _KEYWORDS]
            key = _key(given[0], constants, key_of_class) if given else None
            if key is not None:
                yield Use(f"{file}:{node.lineno}", key, may_be_test, may_be_group)


def _constants(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in tree.body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        value = getattr(node, "value", None)
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            yield from ((target.id, value.value) for target in targets if isinstance(target, ast.Name))


def _key(node: ast.expr, constants: Mapping[str, str], key_of_class: Mapping[str, str]) -> str | None:
    match node:
        case ast.Constant(value=str() as key):
            return key
        case ast.Name(id=name):
            return constants.get(name)
        case ast.Attribute(value=ast.Name(id=name) | ast.Attribute(attr=name), attr="KEY"):
            return key_of_class.get(name)
        case _:
            return None
