"""The terminal that tables and stories are printed on."""

import os
import sys

from rich.console import Console

_WIDTH_WITHOUT_A_TERMINAL = 140


def console(*, stderr: bool = False) -> Console:
    """Return a console; where the output goes to a file or a pipe, as wide as its tables want, not 80 columns."""
    stream = sys.stderr if stderr else sys.stdout
    if stream.isatty() or "COLUMNS" in os.environ:
        return Console(stderr=stderr)
    return Console(stderr=stderr, width=_WIDTH_WITHOUT_A_TERMINAL)
