"""The terminal that tables and stories are printed on, and how texts that people typed become harmless there.

A name such as `a [/oops] b` is not markup, and an escape character in an error is no order to the reader's terminal:
data goes into a `DataTable`, through `plain`, or, where it is simply echoed, through `entrypoints.visible`.
"""

import os
import sys

from rich.console import Console, RenderableType
from rich.style import StyleType
from rich.table import Table
from rich.text import Text

from entrypoints.visible import visible

_WIDTH_WITHOUT_A_TERMINAL = 140


class DataTable(Table):
    """A table whose texts are data, printed as they are; what is to have a style is given as a `Text`."""

    def add_row(
        self, *renderables: RenderableType | None, style: StyleType | None = None, end_section: bool = False
    ) -> None:
        """Add a row; see `rich.table.Table.add_row`."""
        cells = (plain(cell) if isinstance(cell, str) else cell for cell in renderables)
        super().add_row(*cells, style=style, end_section=end_section)


def details_table() -> DataTable:
    """Return an empty table for pairs of a label and a text, without lines or a header."""
    return DataTable(
        box=None,
        padding=(0, 2),
        collapse_padding=True,
        show_header=False,
        show_footer=False,
        show_edge=False,
        pad_edge=False,
    )


def console(*, stderr: bool = False) -> Console:
    """Return a console; where the output goes to a file or a pipe, as wide as its tables want, not 80 columns."""
    stream = sys.stderr if stderr else sys.stdout
    if stream.isatty() or "COLUMNS" in os.environ:
        return Console(stderr=stderr)
    return Console(stderr=stderr, width=_WIDTH_WITHOUT_A_TERMINAL)


def plain(text: str, style: StyleType = "") -> Text:
    """Return data for a console: no markup in it counts, and what does not print is shown."""
    return Text(visible(text), style=style)
