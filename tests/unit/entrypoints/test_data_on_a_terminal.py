"""What people and machines wrote reaches a terminal as text: never as markup, never as an order to the terminal."""

import io

import pytest
from rich.console import Console

from entrypoints.console import DataTable, details_table, plain
from entrypoints.demo import TerminalNotifier
from entrypoints.visible import shortened, visible
from notifications.notifier import Notification


def printed(content: object) -> str:
    stream = io.StringIO()
    Console(file=stream, width=100, force_terminal=True, color_system="truecolor").print(content)
    return stream.getvalue()


@pytest.mark.parametrize("text", ["a [/oops] b", "[red]x", "[link=http://evil]y[/link]", ":smile:", "\\[bold]"])
def test_markup_in_a_cell_is_text(text: str) -> None:
    table = DataTable("data")
    table.add_row(text)
    assert text in printed(table)
    details = details_table()
    details.add_row("label", text)
    assert text in printed(details)


def test_a_cell_with_a_style_keeps_it() -> None:
    table = DataTable("data")
    table.add_row(plain("[x]", style="red"))
    assert "\x1b[31m[x]" in printed(table)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J\x07", r"\x1b[2J\x07"),
        ("\u202efdp.exe", r"\u202efdp.exe"),
        ("half \ud800", r"half \ud800"),
        ("carriage\rreturn", r"carriage\rreturn"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("зелёная кнопка ✔", "зелёная кнопка ✔"),
    ],
)
def test_what_does_not_print_is_shown(text: str, shown: str) -> None:
    assert visible(text) == shown
    assert plain(text).plain == shown


def test_a_notification_of_the_demo_is_text() -> None:
    stream = io.StringIO()
    TerminalNotifier(Console(file=stream, width=100)).notify(
        Notification(
            event_id="1", key="k", recipients=("eve [bold]",), subject="s", text="a [/oops] \x1b[2J", chat_room=""
        )
    )
    assert stream.getvalue() == "  ✉ to eve [bold]: a [/oops] \\x1b[2J\n"


def test_a_text_of_a_hundred_thousand_values_is_cut_and_says_so() -> None:
    assert shortened("x" * 1000) == "x" * 1000
    assert shortened("x " * 90_000, 200) == "x " * 99 + "x… (180,000 characters; `changelog --json` tells them all)"
