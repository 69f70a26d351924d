"""Who a check is made for, as options of a command, and the answer that this user or guest gets."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import click

from entrypoints.visible import visible
from projections.config import ConfigDocument
from usersplit import Answer, Checker, Environment, GroupAnswer, Guest, MemoryConfigs, User
from usersplit.conditions import Catalog

_OPTIONS = (
    click.option("--user", "user_id", help="A user's id."),
    click.option("--guest", "guest_id", help="A guest's id, instead of a user's."),
    click.option("--split-group", type=click.IntRange(1, 2400), help="The split group that the user or guest carries."),
    click.option("--attribute", "attributes", multiple=True, metavar="NAME=VALUE", help="A user filter's value."),
    click.option(
        "--environment", "environments", multiple=True, metavar="NAME=VALUE", help="An environment filter's value."
    ),
)


environment_name_option = click.option(
    "--in",
    "environment_name",
    type=click.Choice(["production", "devel"]),
    default="production",
    show_default=True,
    help="The environment whose QA overrides hold.",
)


class WrongAttribute(Exception):
    """An --attribute or --environment that is not NAME=VALUE."""

    def __init__(self, text: str) -> None:
        super().__init__(f"{text!r} is not NAME=VALUE, such as country_id=50")


def visit_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say who visits, and how."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """A user or a guest with all that a check may ask about them; built of the options of `visit_options`."""

    user_id: str | None
    guest_id: str | None
    split_group: int | None
    attributes: tuple[str, ...]
    environments: tuple[str, ...]

    def is_complete(self) -> bool:
        """Say whether there is a user or a guest; and refuse both, or what belongs to neither.

        Raises:
            click.UsageError: the options do not fit together.
        """
        if self.user_id is not None and self.guest_id is not None:
            raise click.UsageError("Say who: either --user ID or --guest ID.")
        if self.user_id is None and self.guest_id is None:
            if self.split_group or self.attributes or self.environments:
                raise click.UsageError("Say who: either --user ID or --guest ID.")
            return False
        return True

    @property
    def unit_name(self) -> str:
        """Who it is, as overrides name units."""
        return f"guest:{self.guest_id or ''}" if self.user_id is None else f"user:{self.user_id}"

    def answer(
        self, key: str, documents: Sequence[ConfigDocument], moment: datetime, *, environment_name: str
    ) -> Answer:
        """Return what the test gives them at `moment` with these config documents. No hit is logged.

        Args:
            key: the test's.
            documents: those that servers have; without the test's, it is unknown.
            moment: by which dates are compared.
            environment_name: whose QA overrides hold.

        Raises:
            WrongAttribute: see there.
        """
        configs = MemoryConfigs([json.loads(each.document) for each in documents])
        checker = Checker(
            configs,
            now_ns=lambda: int(moment.timestamp() * 1_000_000) * 1000,
            environment_name=environment_name,
        )
        return checker.explain(key, self._unit(), self._environment())

    def membership(self, key: str, documents: Sequence[ConfigDocument]) -> GroupAnswer:
        """Return whether they are in the user group with these config documents.

        Raises:
            WrongAttribute: see there.
        """
        configs = MemoryConfigs([json.loads(each.document) for each in documents])
        return Checker(configs).explain_group(key, self._unit(), self._environment())

    def tell_unknown_filters(self, catalog: Catalog) -> None:
        """Say on standard error which of their values no condition can ask: a misspelt one looks like a missing one."""
        for name in sorted({**_values(self.attributes), **_values(self.environments)}.keys() - catalog.keys()):
            said = f"{name} is no filter, nothing asks for it; the filters: python -m entrypoints filters"
            click.echo(visible(said), err=True)

    def _environment(self) -> Environment:
        return Environment(attributes=_values(self.environments))

    def _unit(self) -> User | Guest:
        split_group = self.split_group or 0
        if self.user_id is None:
            return Guest(id=self.guest_id or "", split_group=split_group)
        return User(id=self.user_id, split_group=split_group, attributes=_values(self.attributes))


def answer_document(answer: Answer) -> dict[str, object]:
    """Return an answer for programs."""
    return {
        "variant": answer.variant,
        "reason": str(answer.reason),
        "detail": answer.detail,
        "settings_group": answer.settings_group,
    }


def answer_sentence(answer: Answer) -> str:
    """Return an answer for people."""
    return f"{answer.variant or 'no variant'}: {answer.detail}"


def _values(pairs: tuple[str, ...]) -> Mapping[str, str]:
    values = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise WrongAttribute(pair)
        values[name] = value
    return values
