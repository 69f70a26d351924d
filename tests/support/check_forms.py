"""The two forms of a check: a Python function, and in C where `usersplit-speedups` is installed beside the SDK."""

import importlib.util
import os
from collections.abc import Iterator
from typing import Final

import pytest

from usersplit._speedups import SWITCH

FORMS: Final = ("Python", "C")


def require_speedups() -> None:
    """Skip what needs the checks in C where there are none; with REQUIRE_REAL=1 that is a failure."""
    if importlib.util.find_spec("usersplit_speedups") is not None:
        return
    missing = "usersplit-speedups is not installed: `make setup` needs a C compiler and Python's headers for it"
    if os.environ.get("REQUIRE_REAL") == "1":
        pytest.fail(missing)
    pytest.skip(missing)


@pytest.fixture(scope="module", params=FORMS)
def form_of_checks(request: pytest.FixtureRequest) -> Iterator[str]:
    """Compile all checks of a module's tests into one form, and then into the other."""
    form: str = request.param
    if form == "C":
        require_speedups()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(SWITCH, "on" if form == "C" else "off")
        yield form
