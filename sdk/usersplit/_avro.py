"""The Avro schemas that lie beside this module in the wheel."""

import json
from importlib import resources
from typing import Any

import fastavro


def schema_text(name: str) -> str:
    """Return the schema `name` as the package holds it."""
    return resources.files("usersplit").joinpath("schemas", f"{name}.avsc").read_text(encoding="utf-8")


def codec_schema(text: str) -> Any:
    """Return the parsed schema with plain numbers: the logical type would make and read datetimes, at a price."""
    schema = json.loads(text)
    for field in schema["fields"]:
        if isinstance(field["type"], dict):
            field["type"] = field["type"]["type"]
    return fastavro.parse_schema(schema)
