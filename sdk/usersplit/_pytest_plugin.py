"""The pytest plugin: the fixture `split_tests`, the marker `variant`, the option `--variant`. See docs/testing.md."""

import argparse
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from usersplit.testing import MemoryUserSplit


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option by which a whole run gets a variant."""
    parser.getgroup("usersplit").addoption(
        "--variant",
        metavar="KEY=VARIANT",
        action="append",
        default=[],
        type=_key_and_variant,
        help="let `split_tests` give everybody this variant of a split test; tests that force another one win",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers", "variant(key, variant): let the fixture split_tests give everybody this variant of a split test"
    )


@pytest.fixture
def split_tests_settings() -> Mapping[str, Any]:
    """Return the arguments of `MemoryUserSplit`; override it to have documents from the start."""
    return {}


@pytest.fixture
def split_tests(request: pytest.FixtureRequest, split_tests_settings: Mapping[str, Any]) -> Iterator[MemoryUserSplit]:
    """Give a client in memory, of this test alone, with the variants that markers and options force."""
    with MemoryUserSplit(**split_tests_settings) as client:
        for key, variant in request.config.getoption("--variant"):
            client.force(key, variant)
        # The closest marker is the first one, and must have the last word.
        for marker in reversed(list(request.node.iter_markers("variant"))):
            client.force(*_marked(*marker.args, **marker.kwargs))
        yield client


def _marked(key: str, variant: str | None) -> tuple[str, str | None]:
    return key, variant


def _key_and_variant(text: str) -> tuple[str, str]:
    key, equals, variant = text.partition("=")
    if not key or not equals or not variant:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VARIANT")
    return key, variant
