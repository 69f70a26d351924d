"""What is loaded when it is needed, and named until then."""

import importlib
from typing import Any


def load(place: str) -> Any:
    """Import and return what stands at `package.module:name`."""
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)
