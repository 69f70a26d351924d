"""Makes functions from generated source. The one place where text becomes code.

The source consists of generated names and Python's own words only. Whatever comes from a document (names of filters,
values, keys, tables) is handed over as an argument of the function's maker and is closed over, so that no document can
inject code, and documents of the same shape share one compiled code.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final

_REMEMBERED_SHAPES: Final = 512


class Constants:
    """Gives names to the values that a piece of generated source refers to."""

    __slots__ = ("_names", "values")

    def __init__(self) -> None:
        self.values: list[object] = []
        self._names: dict[int, str] = {}

    def name(self, value: object) -> str:
        """Return the name under which the source can refer to `value`; the same one for the same object."""
        name = self._names.get(id(value))
        if name is None:
            name = self._names[id(value)] = f"c{len(self.values)}"
            self.values.append(value)
        return name

    @property
    def names(self) -> list[str]:
        """The names, in the order of the values."""
        return [f"c{number}" for number in range(len(self.values))]


def compiled(parameters: str, body: Sequence[str], constants: Constants) -> Callable[..., Any]:
    """Return the function of `parameters` with the lines of `body`, in which the constants have their values."""
    source = "\n".join(
        (
            f"def make({', '.join(constants.names)}):",
            f" def check({parameters}):",
            *(f"  {line}" for line in body),
            " return check",
        )
    )
    function: Callable[..., Any] = _maker(source)(*constants.values)
    return function


@lru_cache(maxsize=_REMEMBERED_SHAPES)
def _maker(source: str) -> Callable[..., Callable[..., Any]]:
    namespace: dict[str, Any] = {}
    exec(compile(source, "<conditions>", "exec"), namespace)  # noqa: S102 - no text of a document is in the source
    maker: Callable[..., Callable[..., Any]] = namespace["make"]
    return maker
