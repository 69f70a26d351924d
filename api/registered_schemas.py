"""The Avro schemas of UserSplit's topics, by the names and ids under which a schema registry serves them.

Ids are fixed in the code that writes the topics; a changed schema takes a new id and the next version of its subject.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from events.lifecycle_codec import LIFECYCLE_SCHEMA_ID, lifecycle_schema
from streams.topics import HIT_REPORTS, HITS, LIFECYCLE
from usersplit.hit_reports import HIT_REPORT_SCHEMA, HIT_REPORT_SCHEMA_ID
from usersplit.hits import HIT_SCHEMA, HIT_SCHEMA_ID

_ABOUT: Final = {"doc", "aliases", "order"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredSchema:
    """A version of a subject. The subject is the topic's name with `-value`, as deserializers expect it.

    `text` is the schema as one line of JSON, defaults and documentation included.
    """

    subject: str
    version: int
    id: int
    text: str

    def is_same(self, text: str) -> bool:
        """Tell whether `text` is this schema, whatever its white space, order of keys and documentation."""
        try:
            return bool(_essence(json.loads(text)) == _essence(json.loads(self.text)))
        except (ValueError, RecursionError):
            return False


def registered_schemas() -> tuple[RegisteredSchema, ...]:
    """Return every version of every subject, sorted by both."""
    return (
        RegisteredSchema(subject=f"{HITS}-value", version=1, id=HIT_SCHEMA_ID, text=_one_line(HIT_SCHEMA)),
        RegisteredSchema(
            subject=f"{HIT_REPORTS}-value", version=1, id=HIT_REPORT_SCHEMA_ID, text=_one_line(HIT_REPORT_SCHEMA)
        ),
        RegisteredSchema(
            subject=f"{LIFECYCLE}-value", version=1, id=LIFECYCLE_SCHEMA_ID, text=_one_line(lifecycle_schema())
        ),
    )


def subjects_of(schemas: Sequence[RegisteredSchema]) -> Iterator[str]:
    """Yield the subjects, each once, in their order."""
    yield from dict.fromkeys(schema.subject for schema in schemas)


def _one_line(schema: str) -> str:
    return json.dumps(json.loads(schema), ensure_ascii=False, separators=(",", ":"))


def _essence(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {name: _essence(value) for name, value in schema.items() if name not in _ABOUT}
    return [_essence(value) for value in schema] if isinstance(schema, list) else schema
