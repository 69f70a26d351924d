"""FULL_TRANSITIVE for Avro schemas: every version reads what every other version wrote.

fastavro has no checker of its own, so its reader is the judge: records of each version, drawn at random and made of
its defaults, are read with each other version. Two rules that a reader cannot judge are checked on the schemas.
"""

import io
import itertools
from collections.abc import Mapping
from typing import Any

import fastavro
from fastavro.utils import generate_many

_RECORDS_OF_A_VERSION = 20


def incompatibilities(versions: Mapping[str, Any]) -> list[str]:
    """Return a sentence for everything that breaks FULL_TRANSITIVE among `versions`, name → schema; empty is good."""
    found = [sentence for name, schema in versions.items() for sentence in _broken_rules(name, schema)]
    for (written, writer), (read, reader) in itertools.permutations(versions.items(), 2):
        error = _unreadable(writer, reader)
        if error:
            found.append(f"{read} does not read what {written} wrote: {error}")
    return found


def read_with(value: bytes, *, writer: Any, reader: Any) -> Any:
    """Return the record in the body of a message, written with one schema and read with another."""
    body = io.BytesIO(value)
    record = fastavro.schemaless_reader(body, writer, reader)
    assert body.tell() == len(value), "bytes are left"
    return record


def _broken_rules(name: str, schema: Any) -> list[str]:
    found = [f"{name}: the field {each['name']} has no default" for each in schema["fields"] if "default" not in each]
    if '"enum"' in fastavro.schema.to_parsing_canonical_form(fastavro.parse_schema(schema)):
        found.append(f"{name} holds an enum: a value that an old reader does not know would be poison to it")
    return found


def _unreadable(writer: Any, reader: Any) -> str:
    try:
        for record in generate_many(writer, _RECORDS_OF_A_VERSION):
            body = io.BytesIO()
            fastavro.schemaless_writer(body, writer, record)
            read_with(body.getvalue(), writer=writer, reader=reader)
    except (fastavro.read.SchemaResolutionError, ValueError, KeyError, TypeError) as error:
        return repr(error)
    return ""
