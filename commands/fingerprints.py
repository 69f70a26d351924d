"""What makes two commands the same command: a replay has the same fingerprint as the first attempt."""

import hashlib
import json
from collections.abc import Mapping


def fingerprint(*, command: str, key: str, arguments: Mapping[str, object], actor: str) -> str:
    """Return the SHA-256, in hex, of a command's canonical JSON: its name, the test's key, its arguments, who gave it.

    What is not JSON (a moment, a Decimal) counts as its text. Whether the actor was a superuser does not count: rights
    may change between an attempt and its replay.
    """
    body = {"command": command, "key": key, "arguments": dict(arguments), "actor": actor}
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=True, default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()
