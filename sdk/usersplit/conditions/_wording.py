"""Shows foreign values inside sentences: short, on one line, printable anywhere."""

import difflib
import json
from collections.abc import Iterable

_LONGEST_SHOWN = 60
_MOST_LISTED = 10


def quoted(text: str) -> str:
    """Return the text in double quotes, shortened and safe to print.

    Lone surrogates (JSON can spell them) are escaped: a message with one could not be written to a log.
    """
    if len(text) > _LONGEST_SHOWN:
        text = text[: _LONGEST_SHOWN - 1] + "…"
    return json.dumps(text, ensure_ascii=False).encode("utf-8", "backslashreplace").decode("utf-8")


def described(document: object) -> str:
    """Say what a piece of decoded JSON is. Never its `repr`: that may be endless, or recurse."""
    match document:
        case str():
            return quoted(document)
        case None | bool() | float():
            return json.dumps(document)
        case int():
            # A number of thousands of digits cannot even be turned into text.
            return repr(document) if document.bit_length() <= 128 else "a number beyond all limits"  # noqa: PLR2004 - any bound will do
        case list() | dict():
            return "a list" if isinstance(document, list) else "an object"
        case _:
            return f"a Python {type(document).__name__}"


def listed(names: Iterable[str]) -> str:
    """Return the names separated by commas, at most ten of them."""
    everything = list(names)
    shown = ", ".join(everything[:_MOST_LISTED])
    further = len(everything) - _MOST_LISTED
    return f"{shown} and {further:,} more" if further > 0 else shown


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ` Did you mean …?` for the closest known name, or nothing. Compares without regard to case."""
    if len(name) > _LONGEST_SHOWN:
        return ""
    by_folded = {candidate.casefold(): candidate for candidate in known}
    closest = difflib.get_close_matches(name.casefold(), by_folded, n=1, cutoff=0.6)
    return f" Did you mean {by_folded[closest[0]]}?" if closest else ""
