"""The catalog of filters as an operator writes it: a TOML file, `catalog.toml` beside this module by default.

CatalogFileError
├── CatalogFileMissing   there is no such file, or it cannot be read
├── CatalogFileTorn      it is not TOML
└── CatalogFileWrong     it is TOML, but not a catalog
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from usersplit.conditions import Catalog, CatalogError

DEFAULT_CATALOG = Path(__file__).with_name("catalog.toml")

_FIELDS = ("type", "scope", "label", "operators", "values")


class CatalogFileError(Exception):
    """The root of what can be wrong with a catalog file. Each sentence names the file."""


class CatalogFileMissing(CatalogFileError):
    """No file, or none that can be read."""

    def __init__(self, path: Path, detail: str) -> None:
        super().__init__(f"the catalog of filters {path} cannot be read ({detail}); give the path of a readable file")


class CatalogFileTorn(CatalogFileError):
    """Not TOML."""

    def __init__(self, path: Path, detail: str) -> None:
        super().__init__(f"the catalog of filters {path} is not TOML: {detail}; correct it there")


class CatalogFileWrong(CatalogFileError):
    """TOML, but not a catalog."""

    def __init__(self, path: Path, detail: str) -> None:
        super().__init__(f"the catalog of filters {path} is wrong: {detail}")


def load_catalog(path: Path = DEFAULT_CATALOG) -> Catalog:
    """Return the catalog in the file `path`.

    Raises:
        CatalogFileError: the subclass that says what is wrong with the file.
    """
    document = read_catalog_file(path)
    _check_fields(path, document)
    try:
        return Catalog.from_document(document["filters"])
    except CatalogError as error:
        raise CatalogFileWrong(path, str(error)) from error


def read_catalog_file(path: Path) -> dict[str, Any]:
    """Return what the file `path` says, unchecked.

    Raises:
        CatalogFileMissing, CatalogFileTorn: it cannot be read, or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CatalogFileMissing(path, error.strerror or str(error)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CatalogFileTorn(path, str(error)) from error


def _check_fields(path: Path, document: Mapping[str, Any]) -> None:
    # A config document may come from a newer program, so unknown fields are ignored there. This file is written by
    # hand: a field that nobody knows is a typing mistake, and would silently be without effect.
    for table in document:
        if table not in {"filters", "users"}:
            raise CatalogFileWrong(
                path, f"it has a table {table!r}; filters are tables [filters.<name>], where users are is [users]."
            )
    filters = document.get("filters")
    if not isinstance(filters, dict) or not filters:
        raise CatalogFileWrong(path, "it has no filters; write one as a table [filters.<name>].")
    for name, definition in filters.items():
        if not isinstance(definition, dict):
            raise CatalogFileWrong(path, f"filters.{name} is not a table; write [filters.{name}] with type and scope.")
        for field in definition:
            if field not in _FIELDS:
                raise CatalogFileWrong(path, f"filters.{name} has a field {field!r}; known are {', '.join(_FIELDS)}.")
