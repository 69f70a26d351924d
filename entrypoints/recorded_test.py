"""The CSV of an A/B test that was run elsewhere, one unit a row: read with care, for people save such files by hand."""

import csv
import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO

MAX_VARIANTS: Final = 24


class ReplayError(Exception):
    """The root of what can be wrong with a replay; each sentence says what to do."""


class UnusableCsv(ReplayError):
    """The file lacks a column, or rows, or has too many variants."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedTest:
    """A CSV with one unit a row.

    Attributes:
        path: the file, UTF-8, with a header.
        unit_column: holds the unit's id.
        variant_column: holds the name of its variant.
    """

    path: Path
    unit_column: str
    variant_column: str

    def digest(self) -> str:
        """Return the first 16 hexadecimal digits of the file's SHA-256."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]

    def origin(self) -> str:
        """Return what the test's description says of where its hits are from."""
        return f"SHA-256 {self.digest()}, units in {self.unit_column!r}, variants in {self.variant_column!r}"

    def rows(self) -> Iterator[dict[str, str]]:
        """Yield the rows by the names of their columns.

        Raises:
            UnusableCsv: it is not a CSV in UTF-8, a column is missing, a row is torn, or has no unit.
        """
        # What spreadsheets save as UTF-8 begins with a mark, which is no part of the first column's name.
        with self.path.open(encoding="utf-8-sig", newline="") as file:
            try:
                yield from self._rows(file)
            except UnicodeDecodeError as error:
                raise UnusableCsv(f"{self.path} is not UTF-8; save it as CSV in UTF-8") from error

    def _rows(self, file: TextIO) -> Iterator[dict[str, str]]:
        reader = csv.DictReader(file, strict=True)
        try:
            self._check_columns(reader.fieldnames or ())
            for row in reader:
                if None in row or None in row.values():
                    raise UnusableCsv(f"{self.path}, line {reader.line_num}: not as many fields as the header has")
                if not row[self.unit_column]:
                    raise UnusableCsv(f"{self.path}, line {reader.line_num}: no unit in {self.unit_column}")
                yield row
        except csv.Error as error:
            # The line at fault may be an earlier one, where a quotation mark was opened and never closed.
            place = f"{self.path}, before the end of line {reader.line_num}"
            raise UnusableCsv(f"{place}: {error}; is a quotation mark not closed?") from error

    def _check_columns(self, columns: Sequence[str]) -> None:
        for column in (self.unit_column, self.variant_column):
            if column not in columns:
                there = ", ".join(columns) or "none"
                raise UnusableCsv(f"{self.path} has no column {column}; its columns are: {there}")

    def units_per_variant(self) -> Counter[str]:
        """Return how many rows each variant has.

        Raises:
            UnusableCsv: see `rows`; or there are none, or too many variants.
        """
        counts = Counter(row[self.variant_column] for row in self.rows())
        if not counts:
            raise UnusableCsv(f"{self.path} has no rows below its header")
        if len(counts) > MAX_VARIANTS:
            raise UnusableCsv(
                f"{self.path}: {self.variant_column} has {len(counts)} different values, more than the {MAX_VARIANTS} "
                "variants a replay takes; is it the right column?"
            )
        return counts
