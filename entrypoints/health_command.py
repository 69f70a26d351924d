"""`healthy`: the question that a container asks every ten seconds. It imports little, so that the answer is quick."""

import sys

import click

from entrypoints.liveness import is_alive
from entrypoints.settings import Settings


@click.command()
def healthy() -> None:
    """Exit 0 if the process that touches USERSPLIT_ALIVE_FILE makes progress, 1 if it hangs or is gone."""
    alive_file = Settings.read().alive_file
    if alive_file is None:
        raise click.UsageError("USERSPLIT_ALIVE_FILE is not set: the file that the process touches.")
    if not is_alive(alive_file):
        click.echo("no sign of life", err=True)
        sys.exit(1)
