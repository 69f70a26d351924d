"""HTML that is not driven from Python: lists, tables, texts. Jinja2 escapes every value."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from nicegui import ui

from projections import readable

_TEMPLATES: Final = Path(__file__).with_name("templates")

STATUS_COLORS: Final[Mapping[str, str]] = {
    "draft": "grey",
    "in_dev": "violet",
    "running": "green",
    "paused": "amber",
    "finished": "blue",
    "rejected": "red",
    "active": "green",
    "off": "amber",
}


def html(template: str, **values: Any) -> ui.html:
    """Show a template of `web/templates`. Its values are escaped by Jinja2, so the browser need not do it again."""
    return ui.html(rendered(template, **values), sanitize=False)


def rendered(template: str, **values: Any) -> str:
    """Return a template of `web/templates` with its values, escaped."""
    return _environment().get_template(template).render(values)


def moment(at: datetime | None) -> str:
    """Return a moment to the minute, in UTC, or a dash."""
    return "–" if at is None else at.astimezone(UTC).strftime("%Y-%m-%d %H:%M")


def moment_to_the_second(at: datetime) -> str:
    """Return a moment to the second, in UTC."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def share(percent: float) -> str:
    """Return a percent of users with as many digits as matter."""
    return f"{percent:.3g} %" if percent < 99.95 else "100 %"  # noqa: PLR2004 - what three digits round to 100


def day(at: datetime | None) -> str:
    """Return the day of a moment, in UTC, or a dash."""
    return "–" if at is None else at.astimezone(UTC).strftime("%d %b %Y").lstrip("0")


def count(number: int | None) -> str:
    """Return a number with thousands apart, or a dash."""
    return "–" if number is None else f"{number:,}"


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        moment=moment,
        moment_to_the_second=moment_to_the_second,
        share=share,
        day=day,
        count=count,
        status=readable.status,
        percent=readable.percent,
        status_color=lambda status: STATUS_COLORS.get(status, "grey"),
    )
    return environment
