"""One check of a split test, in C. The SDK `usersplit` uses it where it is installed; nobody has to call it."""

from usersplit_speedups._check import INTERFACE, DrawnCheck

__version__ = "0.1.0"
__all__ = ["INTERFACE", "DrawnCheck", "__version__"]
