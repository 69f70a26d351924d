"""What a read model is: a name, a version, templates of its tables, and what facts change in them.

Its tables exist once per generation, under names that carry the generation's number, so that a rebuild can fill new
ones beside those that readers use. Queries are plain functions in the model's module.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from sqlalchemy import Connection, MetaData, Table

from events.store import RecordedFact

Tables: TypeAlias = Mapping[str, Table]
"""The tables of one generation by the names of their templates."""

Apply: TypeAlias = Callable[[Connection, Tables, Sequence[RecordedFact]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Projection:
    """A read model.

    Attributes:
        name: unique among projections; single underscores only.
        version: raised whenever the same facts lead to other rows, because of other columns or another `apply`.
        templates: its tables, named `name` or `name__part`.
        apply: folds facts, in position order, into the tables it is given. It runs in a transaction that also moves
            the position, holds the only right to write these tables, and never commits. The rows after it depend on the
            sequence of facts alone, never on where it was cut into batches, and facts of other aggregates are ignored.
            It is total: facts in an order that the domain would never allow change something or nothing, and do not
            raise. An exception pauses the projection.
    """

    name: str
    version: int
    templates: tuple[Table, ...]
    apply: Apply

    def tables(self, generation: int) -> Tables:
        """Return the tables of `generation`; the same objects each time, so that compiled statements are found."""
        return _tables(self.templates, generation)

    def owns(self, table_name: str, generation: int) -> bool:
        """Say whether a table of the database is one of `generation`, in whatever version of the code it was made."""
        return bool(re.fullmatch(rf"{re.escape(self.name)}(__\w+)?_g{generation}", table_name))


@lru_cache(maxsize=256)
def _tables(templates: tuple[Table, ...], generation: int) -> Tables:
    metadata = MetaData()
    return {
        template.name: template.to_metadata(metadata, name=f"{template.name}_g{generation}") for template in templates
    }
