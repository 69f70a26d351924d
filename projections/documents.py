"""All config documents that servers get, of every kind, by the names that topic and files know them by.

A split test's document has its key as its name; those of other kinds begin with a tilde, which no key holds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from projections import config, overrides, registry, user_groups
from projections.config import ConfigDocument
from projections.projection import Projection

PROJECTIONS: Final[tuple[Projection, ...]] = (config.PROJECTION, user_groups.PROJECTION, overrides.PROJECTION)
"""The read models that hold documents."""

_SPLIT_TEST = "split_test/"
_USER_GROUP = "user_group/"
_OVERRIDES = "overrides/"


def names_of(stream: str) -> tuple[str, ...]:
    """Return the documents that an event of `stream` may change."""
    if stream.startswith(_SPLIT_TEST):
        return (stream.removeprefix(_SPLIT_TEST), overrides.DOCUMENT_NAME)
    if stream.startswith(_USER_GROUP):
        return (user_groups.NAME_PREFIX + stream.removeprefix(_USER_GROUP),)
    return (overrides.DOCUMENT_NAME,) if stream.startswith(_OVERRIDES) else ()


def get_many(connection: Connection, names: Sequence[str]) -> list[ConfigDocument]:
    """Return the documents of those of `names` that have one, by name.

    Raises:
        projections.errors.ProjectionsError: a read model is not there, or of another release.
    """
    tests = [name for name in names if not name.startswith("~")]
    groups = [name.removeprefix(user_groups.NAME_PREFIX) for name in names if name.startswith(user_groups.NAME_PREFIX)]
    found = config.get_many(connection, tests) if tests else []
    found += user_groups.documents(connection, groups) if groups else []
    if overrides.DOCUMENT_NAME in names and (document := overrides.document(connection)) is not None:
        found.append(document)
    return sorted(found, key=lambda document: document.key)


def all_documents(connection: Connection) -> list[ConfigDocument]:
    """Return every document, those of tests and user groups that are gone too, by name.

    Raises:
        projections.errors.ProjectionsError: see `get_many`.
    """
    document = overrides.document(connection)
    found = [
        *config.all_documents(connection),
        *user_groups.documents(connection),
        *([] if document is None else [document]),
    ]
    return sorted(found, key=lambda document: document.key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """Up to which position all documents are true: the read model that is furthest behind, and why, if it is paused.

    The position is 0 where it was never built.
    """

    projection: str
    position: int
    reason: str = ""


def reached(connection: Connection) -> Reached:
    """Return up to which position all documents are true."""
    return min((_reached(connection, each.name) for each in PROJECTIONS), key=lambda each: each.position)


def _reached(connection: Connection, name: str) -> Reached:
    found = registry.serving(connection, name)
    if found is None:
        return Reached(projection=name, position=0)
    return Reached(projection=name, position=found.position, reason=found.reason)
