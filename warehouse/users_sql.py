"""What DuckDB, PostgreSQL and ClickHouse spell differently, as elements of SQLAlchemy that render themselves.

The first argument of each is a column or expression of the users table, and where that is NULL, so is the element.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ARRAY, BigInteger, Boolean, ColumnElement, Double, Integer, String, Text, bindparam
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeEngine

_DUCKDB = "duckdb"
_POSTGRESQL = "postgresql"
_CLICKHOUSE = "clickhousedb"


class AsText(FunctionElement[str]):
    """A text (or a value of an enumeration) as text that is compared byte by byte, whatever the column's collation."""

    inherit_cache = True
    type = Text()


class AsDouble(FunctionElement[float]):
    """Any number as a double."""

    inherit_cache = True
    type = Double()


class Microseconds(FunctionElement[int]):
    """A date or timestamp as microseconds since 1970 in UTC; a timestamp without a zone is taken to be in UTC.

    Whole numbers compare the same in every database and under every session's time zone. An infinite timestamp is NULL.
    """

    inherit_cache = True
    type = BigInteger()


class VersionKey(FunctionElement[str]):
    """Dotted numbers as a text that sorts as the numbers do: eight parts of nine digits. Any other text is NULL.

    Arrays of numbers would do as well, but each database has its own functions for them; regular expressions are the
    same everywhere. Every part is filled up with zeros in front, and then only its last nine digits are kept.
    """

    inherit_cache = True
    type = String()


class Holds(FunctionElement[bool]):
    """Whether the first text holds the second: no pattern, so that % and _ mean themselves."""

    inherit_cache = True
    type = Boolean()


class BeginsWith(FunctionElement[bool]):
    """Whether the first text begins with the second; no pattern either."""

    inherit_cache = True
    type = Boolean()


_VERSION = "^[0-9]{1,9}([.][0-9]{1,9}){0,7}$"
_ZEROS_IN_FRONT = ("([0-9]+)", r"000000000\1")
_LAST_NINE = (r"[0-9]*([0-9]{9})([.]|$)", r"\1")
_KEY_DIGITS = 72
_SHORT_LIST = 100
_SEVEN_PARTS = ".0.0.0.0.0.0.0"


def _only(element: FunctionElement[Any], compiler: Any, **options: Any) -> str:
    (argument,) = element.clauses
    return str(compiler.process(argument, **options))


def _both(element: FunctionElement[Any], compiler: Any, **options: Any) -> tuple[str, str]:
    first, second = element.clauses
    return str(compiler.process(first, **options)), str(compiler.process(second, **options))


def _escaped(compiler: Any, text: str) -> str:
    # A literal percent sign would be read as a parameter by some drivers; there is none in the patterns above.
    return str(compiler.render_literal_value(text, String()))


@compiles(AsText, _DUCKDB)
def _text_duckdb(element: AsText, compiler: Any, **options: Any) -> str:
    return f"CAST({_only(element, compiler, **options)} AS VARCHAR)"


@compiles(AsText, _POSTGRESQL)
def _text_postgresql(element: AsText, compiler: Any, **options: Any) -> str:
    return f'CAST({_only(element, compiler, **options)} AS TEXT) COLLATE "C"'


@compiles(AsText, _CLICKHOUSE)
def _text_clickhouse(element: AsText, compiler: Any, **options: Any) -> str:
    return f"toString({_only(element, compiler, **options)})"


@compiles(AsDouble, _DUCKDB)
@compiles(AsDouble, _POSTGRESQL)
def _double(element: AsDouble, compiler: Any, **options: Any) -> str:
    return f"CAST({_only(element, compiler, **options)} AS DOUBLE PRECISION)"


@compiles(AsDouble, _CLICKHOUSE)
def _double_clickhouse(element: AsDouble, compiler: Any, **options: Any) -> str:
    # ClickHouse looks values up in a list bit by bit, where -0.0 is not 0.0; their sum with 0 is.
    return f"(toFloat64({_only(element, compiler, **options)}) + 0)"


@compiles(Microseconds, _DUCKDB)
def _microseconds_duckdb(element: Microseconds, compiler: Any, **options: Any) -> str:
    moment = _only(element, compiler, **options)
    return f"CASE WHEN isfinite({moment}) THEN epoch_us({moment}) END"


@compiles(Microseconds, _POSTGRESQL)
def _microseconds_postgresql(element: Microseconds, compiler: Any, **options: Any) -> str:
    moment = _only(element, compiler, **options)
    return f"CASE WHEN isfinite({moment}) THEN CAST(extract(epoch FROM {moment}) * 1000000 AS BIGINT) END"


@compiles(Microseconds, _CLICKHOUSE)
def _microseconds_clickhouse(element: Microseconds, compiler: Any, **options: Any) -> str:
    return f"toUnixTimestamp64Micro(toDateTime64({_only(element, compiler, **options)}, 6, 'UTC'))"


@compiles(VersionKey, _DUCKDB)
@compiles(VersionKey, _POSTGRESQL)
def _version(element: VersionKey, compiler: Any, **options: Any) -> str:
    text = f"CAST({_only(element, compiler, **options)} AS VARCHAR)"
    matches = "regexp_matches({}, {})" if compiler.dialect.name == _DUCKDB else "{} ~ {}"
    key = f"({text} || '{_SEVEN_PARTS}')"
    for pattern, replacement in (_ZEROS_IN_FRONT, _LAST_NINE):
        key = f"regexp_replace({key}, {_escaped(compiler, pattern)}, {_escaped(compiler, replacement)}, 'g')"
    collation = ' COLLATE "C"' if compiler.dialect.name == _POSTGRESQL else ""
    return (
        f"(CASE WHEN {matches.format(text, _escaped(compiler, _VERSION))} "
        f"THEN substr({key}, 1, {_KEY_DIGITS}) END){collation}"
    )


@compiles(VersionKey, _CLICKHOUSE)
def _version_clickhouse(element: VersionKey, compiler: Any, **options: Any) -> str:
    text = f"toString({_only(element, compiler, **options)})"
    key = f"concat({text}, '{_SEVEN_PARTS}')"
    for pattern, replacement in (_ZEROS_IN_FRONT, _LAST_NINE):
        key = f"replaceRegexpAll({key}, {_raw(pattern)}, {_raw(replacement)})"
    return f"CASE WHEN match({text}, {_raw(_VERSION)}) THEN substring({key}, 1, {_KEY_DIGITS}) END"


def _raw(text: str) -> str:
    # ClickHouse reads a backslash in a text as the beginning of an escape.
    return "'" + text.replace("\\", "\\\\") + "'"


@compiles(Holds, _DUCKDB)
@compiles(Holds, _POSTGRESQL)
def _holds(element: Holds, compiler: Any, **options: Any) -> str:
    text, part = _both(element, compiler, **options)
    return f"(strpos({text}, {part}) > 0)"


@compiles(Holds, _CLICKHOUSE)
def _holds_clickhouse(element: Holds, compiler: Any, **options: Any) -> str:
    text, part = _both(element, compiler, **options)
    return f"(position({text}, {part}) > 0)"


@compiles(BeginsWith, _DUCKDB)
@compiles(BeginsWith, _POSTGRESQL)
def _begins(element: BeginsWith, compiler: Any, **options: Any) -> str:
    text, part = _both(element, compiler, **options)
    return f"starts_with({text}, {part})"


@compiles(BeginsWith, _CLICKHOUSE)
def _begins_clickhouse(element: BeginsWith, compiler: Any, **options: Any) -> str:
    text, part = _both(element, compiler, **options)
    return f"startsWith({text}, {part})"


def version_key(numbers: tuple[int, ...]) -> str:
    """Return what `VersionKey` makes of a version, from its numbers."""
    return "".join(f"{number:09}" for number in numbers).ljust(_KEY_DIGITS, "0")


class Among(ColumnElement[bool]):
    """Whether a text or number is one of a list that may be as long as conditions allow, 100,000 values.

    PostgreSQL takes 65,535 parameters a statement, so there the list is one parameter.
    """

    inherit_cache = False
    type = Boolean()

    def __init__(self, operand: ColumnElement[Any], values: Sequence[Any], kind: TypeEngine[Any]) -> None:
        self.operand = operand
        self.values = list(values)
        self.kind = kind


@compiles(Among)
def _among(element: Among, compiler: Any, **options: Any) -> str:
    return str(compiler.process(element.operand.in_(element.values), **options))


@compiles(Among, _POSTGRESQL)
def _among_postgresql(element: Among, compiler: Any, **options: Any) -> str:
    values = bindparam(None, element.values, type_=ARRAY(element.kind), unique=True)
    return f"({compiler.process(element.operand, **options)} = ANY ({compiler.process(values, **options)}))"


@compiles(Among, _DUCKDB)
def _among_duckdb(element: Among, compiler: Any, **options: Any) -> str:
    if len(element.values) <= _SHORT_LIST:
        return str(compiler.process(element.operand.in_(element.values), **options))
    # Binding takes DuckDB time that grows with the square of the number of parameters: minutes for 100,000.
    values = bindparam(None, element.values, type_=ARRAY(element.kind), unique=True)
    list_type = f"{compiler.dialect.type_compiler_instance.process(element.kind)}[]"
    operand = compiler.process(element.operand, **options)
    return f"({operand} IN (SELECT unnest(CAST({compiler.process(values, **options)} AS {list_type}))))"


class CodeAt(ColumnElement[int]):
    """The number that stands for a whole number in a table of numbers: the first one for `first`, and so on.

    Only to be asked about numbers that the table has. One look into a table costs a tenth of finding the way through
    a tree of comparisons. The table travels as one text: databases take long to read lists of a thousand expressions.
    """

    inherit_cache = False
    type = Integer()

    def __init__(self, operand: ColumnElement[int], first: int, numbers: Sequence[int]) -> None:
        self.operand = operand
        self.first = first
        self.numbers = numbers


@compiles(CodeAt, _DUCKDB)
def _code_at_duckdb(element: CodeAt, compiler: Any, **options: Any) -> str:
    place, numbers = _place_in(element, compiler, **options)
    return f"list_extract(CAST('[{numbers}]' AS INTEGER[]), {place})"


@compiles(CodeAt, _POSTGRESQL)
def _code_at_postgresql(element: CodeAt, compiler: Any, **options: Any) -> str:
    place, numbers = _place_in(element, compiler, **options)
    return f"(CAST('{{{numbers}}}' AS INTEGER[]))[CAST({place} AS INTEGER)]"


@compiles(CodeAt, _CLICKHOUSE)
def _code_at_clickhouse(element: CodeAt, compiler: Any, **options: Any) -> str:
    place, numbers = _place_in(element, compiler, **options)
    return f"arrayElement(CAST('[{numbers}]', 'Array(Int32)'), {place})"


def _place_in(element: CodeAt, compiler: Any, **options: Any) -> tuple[str, str]:
    operand = compiler.process(element.operand, **options)
    return f"({operand} - ({element.first}) + 1)", ",".join(map(str, element.numbers))
