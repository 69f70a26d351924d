"""`demo`: the main job of UserSplit on embedded parts, for somebody who sees it for the first time."""

import logging
import shutil
import signal
import sys
import time
from pathlib import Path

import click

from entrypoints.console import console
from entrypoints.demo import COLORS, PASSWORD, PEOPLE, Demo


@click.command()
@click.option("--once", is_flag=True, help="Run through, compare the numbers, exit; 1 if they differ.")
@click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("var/demo"),
    show_default=True,
    help="Where its databases and config files go; what an earlier demo left there is removed.",
)
def demo(directory: Path, *, once: bool) -> None:
    """Run two split tests of a coconut store through their whole life, under load, on embedded parts."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    # As Ctrl-C does: an end without a word would leave its store behind, which is a process of its own.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    terminal = console()
    began = time.monotonic()
    _clear(directory)
    play = Demo(directory.resolve(), terminal)
    with play.running():
        play.play()
        play.write_settings_file()
        play.report()
        terminal.print(f"[green]All numbers agree.[/] It took {time.monotonic() - began:.0f} s.")
        if not once:
            play.leave_open()
            terminal.print(f"[bold]The managers' pages are open: {play.pages_url}[/]")
            terminal.print(f"  sign in as {', '.join(PEOPLE)}; the password is: {PASSWORD}")
            terminal.print(f"  {COLORS} waits for you: edit its settings, preview them, start it")
            terminal.print(f"The store stays open: {play.store_url}/coconuts?user=7   Ctrl-C ends the demo.")
            _wait_for_ctrl_c()


def _clear(directory: Path) -> None:
    """Remove an earlier demo, and nothing else: a directory is only cleared if a demo made it."""
    mark = directory / ".usersplit-demo"
    if directory.exists() and any(directory.iterdir()) and not mark.exists():
        raise click.UsageError(f"{directory} is not empty and was not made by a demo; name another --directory.")
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    mark.touch()


def _wait_for_ctrl_c() -> None:
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        click.echo("")
