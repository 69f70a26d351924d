"""Where users are: the table, its identifier and split group, and the column of each filter, out of the catalog file.

    [users]
    table = "users"
    id = "user_id"
    split_group = "split_group"

    [users.columns]
    country_id = "country_id"
    age = {expression = "date_diff('year', born_on, current_date)"}

An expression is SQL of that database, written by the operator, who could run any SQL there anyway. Managers' values
never become SQL: see `audience.conditions_sql`.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import ColumnElement, TableClause, column, literal_column
from sqlalchemy import table as sql_table

from audience.catalog import DEFAULT_CATALOG, read_catalog_file
from audience.errors import UsersMappingWrong, UsersTableWrong
from usersplit.conditions import Catalog, Filter, FilterType
from warehouse.users import UsersDatabase

_FIELDS: Final = ("table", "id", "split_group", "columns")

_TEXTS: Final = r"varchar|text|character varying(\(\d+\))?|string|enum.*"
_WHOLE: Final = r"u?tinyint|u?smallint|u?integer|bigint|u?int(8|16|32)|int64"
_FITTING: Final[Mapping[FilterType, str]] = {
    "boolean": r"boolean|bool|uint8",
    "integer": _WHOLE,
    "number": rf"{_WHOLE}|float|double|real|double precision|float(32|64)|(decimal|numeric).*",
    "string": _TEXTS,
    "version": _TEXTS,
    "time": r"timestamp.*|date(32)?|datetime(64)?(\(.*\))?",
}
_IDS: Final = rf"{_WHOLE}|{_TEXTS}|uuid"


@dataclass(frozen=True, slots=True, kw_only=True)
class MappedColumn:
    """A column by its name, or an expression in the words of the database."""

    text: str
    is_expression: bool = False

    def sql(self) -> ColumnElement[Any]:
        """Return it for a statement over the table."""
        return literal_column(f"({self.text})") if self.is_expression else column(self.text)


@dataclass(frozen=True, slots=True, kw_only=True)
class UsersTable:
    """The users table as the catalog file maps it.

    Attributes:
        name: `table` or `schema.table`.
        id: the column that tells users apart, a whole number, a text or a UUID; unique, and never empty.
        split_group: the column of the split group.
        columns: the column of each filter, by the filter's name.
    """

    name: str
    id: str
    split_group: str
    columns: Mapping[str, MappedColumn]

    def sql(self) -> TableClause:
        """Return the table for a statement."""
        schema, _, name = self.name.rpartition(".")
        return sql_table(name, schema=schema) if schema else sql_table(name)

    def check(self, database: UsersDatabase, catalog: Catalog) -> None:
        """Compare the whole mapping with the database.

        Raises:
            UsersTableWrong: with every difference found.
            WarehouseError: the database does not answer, or cannot read an expression.
        """
        types = self._types(database)
        misfits = self._misfits(database, types, [catalog[name] for name in self.columns])
        if problems := [*self._problems(types), *misfits.values()]:
            raise UsersTableWrong(problems)

    def misfits(self, database: UsersDatabase, filters: Iterable[Filter]) -> Mapping[tuple[str, FilterType], str]:
        """Return what is wrong with the columns of `filters`, by name and type. A filter without a column is fine here.

        Raises:
            UsersTableWrong: there is no such table, or its identifier or split group is wrong: nobody can be counted.
            WarehouseError: the database does not answer, or cannot read an expression.
        """
        types = self._types(database)
        if problems := self._problems(types):
            raise UsersTableWrong(problems)
        return self._misfits(database, types, filters)

    def _types(self, database: UsersDatabase) -> Mapping[str, str]:
        types = database.column_types(self.name)
        if not types:
            raise UsersTableWrong([f"there is no table {self.name}; create it, or import users"])
        return types

    def _problems(self, types: Mapping[str, str]) -> list[str]:
        compared = ((self.id, _IDS), (self.split_group, _WHOLE))
        return [problem for name, fitting in compared if (problem := _misfit(name, types.get(name), fitting))]

    def _misfits(
        self, database: UsersDatabase, types: Mapping[str, str], filters: Iterable[Filter]
    ) -> Mapping[tuple[str, FilterType], str]:
        asked = {(each.name, each.type) for each in filters if each.name in self.columns}
        found = {name: self._type_of(database, types, self.columns[name]) for name in {name for name, _ in asked}}
        compared = {
            (name, type_): _misfit(self.columns[name].text, found[name], _FITTING[type_], f" for the filter {name}")
            for name, type_ in sorted(asked)
        }
        return {asked: problem for asked, problem in compared.items() if problem}

    def _type_of(self, database: UsersDatabase, types: Mapping[str, str], mapped: MappedColumn) -> str | None:
        return database.expression_type(self.name, mapped.text) if mapped.is_expression else types.get(mapped.text)


def load_users_table(catalog: Catalog, path: Path = DEFAULT_CATALOG) -> UsersTable | None:
    """Return the mapping in the catalog file `path`, whose filters are `catalog`; None: it has no [users].

    Raises:
        CatalogFileError: the file cannot be read.
        UsersMappingWrong: what it says of users is wrong.
    """
    document = read_catalog_file(path).get("users")
    if document is None:
        return None
    if not isinstance(document, dict):
        raise UsersMappingWrong(path, "it is not a table; write [users] with table, id and split_group.")
    for field in document:
        if field not in _FIELDS:
            raise UsersMappingWrong(path, f"it has a field {field!r}; known are {', '.join(_FIELDS)}.")
    names = [document.get(field) for field in ("table", "id", "split_group")]
    for field, name in zip(("table", "id", "split_group"), names, strict=True):
        if not isinstance(name, str) or not name:
            raise UsersMappingWrong(path, f'it has no "{field}", which is the name of a table or column.')
    columns = document.get("columns", {})
    if not isinstance(columns, dict):
        raise UsersMappingWrong(path, "columns is not a table; write [users.columns] with a line a filter.")
    return UsersTable(
        name=str(names[0]),
        id=str(names[1]),
        split_group=str(names[2]),
        columns={name: _mapped(path, catalog, name, value) for name, value in columns.items()},
    )


def required_users_table(catalog: Catalog, path: Path = DEFAULT_CATALOG) -> UsersTable:
    """Return the mapping as `load_users_table` does.

    Raises:
        UsersMappingWrong: there is none, or see there.
    """
    table = load_users_table(catalog, path)
    if table is None:
        raise UsersMappingWrong(path, "it is missing; say where users are with table, id and split_group.")
    return table


def _mapped(path: Path, catalog: Catalog, name: str, value: object) -> MappedColumn:
    if name not in catalog:
        raise UsersMappingWrong(path, f"columns.{name} is for a filter that is not there; add [filters.{name}].")
    if isinstance(value, str) and value:
        return MappedColumn(text=value)
    if isinstance(value, dict) and list(value) == ["expression"]:
        expression = value["expression"]
        if isinstance(expression, str) and expression:
            return MappedColumn(text=expression, is_expression=True)
    raise UsersMappingWrong(path, f'columns.{name} is neither the name of a column nor {{expression = "…"}}.')


def _misfit(name: str, found: str | None, fitting: str, purpose: str = "") -> str:
    if found is None:
        return f"there is no column {name}{purpose}"
    if not re.fullmatch(fitting, found):
        return f"the column {name} has the type {found}, which does not fit{purpose}; map an expression that casts it"
    return ""
