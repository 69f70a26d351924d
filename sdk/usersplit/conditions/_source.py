"""Makes functions from generated source. The one place where text becomes code.

The source consists of generated names and Python's own words only. Whatever comes from a document (names of filters,
values, keys, tables) stands in it as a placeholder, and takes the placeholder's place among the constants of the
compiled code: no document can inject code, documents of the same shape are compiled once, and a constant is the
quickest thing there is to read (a closure copies all its cells at every call).
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from types import CodeType, FunctionType
from typing import Any, Final

_REMEMBERED_SHAPES: Final = 512
_SIGN: Final = "\ue000"


class Constants:
    """Gives placeholders to the values that a piece of generated source refers to.

    A value may be an argument or an operand, but nothing that is called or compared by `is`: those are the shared names
    that `compiled` is given.
    """

    __slots__ = ("_placeholders", "values")

    def __init__(self) -> None:
        self.values: list[object] = []
        self._placeholders: dict[int, str] = {}

    def name(self, value: object) -> str:
        """Return what stands for `value` in the source; the same for the same object."""
        placeholder = self._placeholders.get(id(value))
        if placeholder is None:
            placeholder = self._placeholders[id(value)] = repr(f"{_SIGN}{len(self.values)}")
            self.values.append(value)
        return placeholder


def compiled(parameters: str, body: Sequence[str], constants: Constants, shared: dict[str, Any]) -> Callable[..., Any]:
    """Return the function of `parameters` with the lines of `body`, in which the constants have their values.

    Args:
        parameters: the function's parameters, as source.
        body: its lines, as source.
        constants: the values of the placeholders in it.
        shared: what its other names mean; always the same mapping for the same kind of function.
    """
    code = _code(f"def check({parameters}):\n " + "\n ".join(body))
    values = constants.values
    filled = code.replace(co_consts=tuple(_value(constant, values) for constant in code.co_consts))
    return FunctionType(filled, shared)


def _value(constant: object, values: Sequence[object]) -> object:
    return values[int(constant[1:])] if isinstance(constant, str) and constant.startswith(_SIGN) else constant


@lru_cache(maxsize=_REMEMBERED_SHAPES)
def _code(source: str) -> CodeType:
    module = compile(source, "<conditions>", "exec")  # no text of a document is in the source
    return next(constant for constant in module.co_consts if isinstance(constant, CodeType))
