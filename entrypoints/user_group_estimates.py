"""How many users a user group has, in a terminal: after a change, when asked anew, or before anything changes."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import click

from commands.split_tests import Request
from domain.errors import UserGroupNotFound
from domain.people import Actor, can_see
from entrypoints.backbone import Backbone
from entrypoints.console import console, details_table
from entrypoints.manager_commands import as_option, backbone_for, key_argument, read_json
from entrypoints.preview_commands import NobodyIsCounted
from entrypoints.reading_commands import json_option
from entrypoints.visible import visible
from events.user_group_estimate_facts import SharedWithTest
from projections import readable, user_group_estimates, user_groups
from projections.user_group_estimates import UserGroupEstimate
from projections.user_groups import ListedUserGroup


def seen_group(backbone: Backbone, actor: Actor, key: str) -> ListedUserGroup:
    """Return the user group `key`, if `actor` may know that it exists.

    Raises:
        UserGroupNotFound: there is no such group, or it is somebody else's Draft.
    """
    with backbone.reading() as connection:
        group = user_groups.get(connection, key)
    if group is None or not can_see(actor, group.status, group.author, group.managers):
        raise UserGroupNotFound(key)
    return group


@click.command()
@key_argument
@as_option
@json_option
def estimate(key: str, name: str | None, *, as_json: bool) -> None:
    """Count a user group anew: its users, and how many of them are in tests that are not over."""
    with backbone_for(name) as (backbone, actor):
        if backbone.estimator is None:
            raise NobodyIsCounted
        backbone.user_group_estimates.ask(Request(actor=actor), key)
        if not as_json:
            print_estimate(backbone, key)
            return
        found = _counted_now(backbone, key)
    if found is not None:
        document = {"users": found.users, "shared": [asdict(each) for each in found.shared]}
        click.echo(json.dumps({**document, "state": found.state, "reason": found.reason}, indent=2))


@click.command()
@key_argument
@click.argument("conditions_file", type=click.File("r", encoding="utf-8"))
@as_option
@json_option
def preview(key: str, conditions_file: Any, name: str | None, *, as_json: bool) -> None:
    """Say what conditions from a JSON file (as for `propose-conditions`) would bring. Nothing changes.

    KEY may be a user group that does not exist yet.
    """
    tree = read_json(conditions_file)
    with backbone_for(name) as (backbone, actor):
        if backbone.audience is None:
            raise NobodyIsCounted
        with backbone.reading() as connection:
            exists = user_groups.get(connection, key) is not None
        if exists:
            seen_group(backbone, actor, key)
        found = backbone.audience.preview_group(key, tree)
    if as_json:
        click.echo(json.dumps(asdict(found)))
        return
    details = details_table()
    for label, text in _numbers(found.users, found.shared, found.assumed_filters):
        details.add_row(label, text)
    console().print(details)


def print_estimate(backbone: Backbone, key: str) -> None:
    """Count here and now what waits; the preparer's process may be faster, which is just as well."""
    found = _counted_now(backbone, key)
    if found is None:
        return
    if found.state == "failed":
        raise EstimateFailed(found.reason)
    for label, text in estimate_lines(found):
        click.echo(visible(f"{label}: {text}"))


class EstimateFailed(Exception):
    """The conditions are in force; only nobody knows how many users meet them."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"{reason}. The conditions are in force all the same; count again with `groups estimate`")


def users_of(estimate: UserGroupEstimate | None) -> str:
    """Return the users of a user group for a list: nothing where there are no conditions."""
    if estimate is None:
        return ""
    if estimate.users is None:
        return "not counted" if estimate.state == "failed" else "not counted yet"
    return readable.users(estimate.users, is_upper_bound=bool(estimate.assumed_filters)).removesuffix(" users")


def estimate_lines(estimate: UserGroupEstimate | None) -> Iterator[tuple[str, str]]:
    """Yield what is known of a user group's numbers, each line with its label."""
    if estimate is None:
        return
    if estimate.users is not None:
        yield from _numbers(estimate.users, estimate.shared, estimate.assumed_filters)
        yield "counted", f"{estimate.counted_at:%Y-%m-%d %H:%M} UTC"
    if estimate.state == "waiting":
        yield "waiting", "to be counted, where users are connected"
    if estimate.state == "failed":
        yield "not counted", estimate.reason


def _numbers(
    users: int, shared: tuple[SharedWithTest, ...], assumed_filters: tuple[str, ...]
) -> Iterator[tuple[str, str]]:
    yield "users", f"{readable.users(users, is_upper_bound=bool(assumed_filters))} meet the conditions"
    if assumed_filters:
        yield "upper bound", f"no column holds {readable.sentence_of(assumed_filters)}"
    for each in shared:
        variants = readable.sentence_of([f"{one.users:,} in {one.variant}" for one in each.by_variant])
        told = f"{readable.shared_with_test(each, users)} with {readable.other_test(each)}"
        yield "shared", f"{told}: {variants}" if variants else told


def _counted_now(backbone: Backbone, key: str) -> UserGroupEstimate | None:
    if backbone.estimator is not None:
        backbone.estimator.estimate(key)
    with backbone.reading() as connection:
        return user_group_estimates.get(connection, key)
